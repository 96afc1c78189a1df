// Drives the send core under Icarus: what harness.cpp is for Verilator, in plain Verilog.
//
// Every line on standard input is a batch: the number of requests, the number of buffer beats and the values of
// the configuration inputs. Its requests and beats are read from requests.txt and beats.txt, and what happens is
// written to events.txt, a line an event; a line on standard output says that the batch has ended. What carries
// nothing is driven with X, so that a core which looks at it is found out.
//
// ports.vh, generated from the core's ports, defines `LANES, the configuration registers, and how to read and to
// print what differs from build to build.

`timescale 1ns / 1ps
`include "ports.vh"

module bench;
  localparam LANES = `LANES;
  localparam STDIN = 32'h8000_0000;

  reg clk = 0;
  reg rst = 1;

  reg [223:0] request_data;
  reg request_valid = 0;
  wire request_ready;

  reg [8*LANES-1:0] buffer_data;
  reg [LANES-1:0] buffer_keep;
  reg buffer_last;
  reg buffer_valid = 0;
  wire buffer_ready;

  wire [8*LANES-1:0] frame_data;
  wire [LANES-1:0] frame_keep;
  wire frame_last;
  wire [15:0] frame_tag;
  wire frame_valid;
  reg frame_ready = 0;

  wire [127:0] completion_data;
  wire completion_valid;
  reg completion_ready = 0;

  `CONFIGURATION

  `CORE core (
    .clk(clk), .rst(rst),
    .s_axis_request_tdata(request_data), .s_axis_request_tvalid(request_valid), .s_axis_request_tready(request_ready),
    .s_axis_buffer_tdata(buffer_data), .s_axis_buffer_tkeep(buffer_keep), .s_axis_buffer_tlast(buffer_last),
    .s_axis_buffer_tvalid(buffer_valid), .s_axis_buffer_tready(buffer_ready),
    .m_axis_frame_tdata(frame_data), .m_axis_frame_tkeep(frame_keep), .m_axis_frame_tlast(frame_last),
    .m_axis_frame_tid(frame_tag), .m_axis_frame_tvalid(frame_valid), .m_axis_frame_tready(frame_ready),
    .m_axis_completion_tdata(completion_data), .m_axis_completion_tvalid(completion_valid),
    .m_axis_completion_tready(completion_ready)
    `CONNECTIONS
  );

  integer requests_file, beats_file, events_file, got;
  integer requests, beats, requests_taken, beats_taken, completions, frames, promised;
  integer seed, stall, patience, now, idle, n;
  reg in_frame, frame_stalled, completion_stalled, failed;
  reg request_moves, buffer_moves, frame_moves, completion_moves;
  reg [8*LANES-1:0] held_data, kept_data;
  reg [LANES-1:0] held_keep;
  reg held_last;
  reg [15:0] held_tag;
  reg [127:0] held_completion;

  function go(input integer unused);
    if (stall == 0) go = 1;
    else go = ($random(seed) & 16'hFFFF) >= stall;
  endfunction

  task problem(input [8*80-1:0] text);
    if (!failed) begin
      failed = 1;
      $fdisplay(events_file, "E %0d %0s", now, text);
    end
  endtask

  task offer;
    begin
      if (!request_valid && requests_taken < requests && go(0)) begin
        got = $fscanf(requests_file, "%h", request_data);
        request_valid = 1;
      end
      if (!buffer_valid && beats_taken < beats && go(0)) begin
        got = $fscanf(beats_file, "%h %h %h", buffer_last, buffer_keep, buffer_data);
        buffer_valid = 1;
      end
      frame_ready = go(0);
      completion_ready = go(0);
    end
  endtask

  task watch_frame;
    begin
      frame_moves = frame_valid && frame_ready;
      if (frame_valid !== 0 && frame_valid !== 1) problem("m_axis_frame_tvalid is unknown");
      if (frame_stalled && !frame_valid) problem("m_axis_frame_tvalid fell before tready");
      if (frame_stalled && frame_valid
          && {frame_data, frame_keep, frame_last, frame_tag} !== {held_data, held_keep, held_last, held_tag})
        problem("m_axis_frame changed while it was stalled");
      frame_stalled = frame_valid && !frame_ready;
      held_data = frame_data;
      held_keep = frame_keep;
      held_last = frame_last;
      if (frame_moves) begin
        for (n = 0; n < LANES; n = n + 1) kept_data[8*n +: 8] = frame_keep[n] ? frame_data[8*n +: 8] : 8'h00;
        if (frame_keep == 0 || (frame_keep & (frame_keep + 1'b1)) != 0)
          problem("m_axis_frame_tkeep is not contiguous from lane 0");
        if (!frame_last && !(&frame_keep)) problem("m_axis_frame_tkeep is partial before tlast");
        if (^{kept_data, frame_keep, frame_last, frame_tag} === 1'bx) problem("m_axis_frame is unknown");
        if (in_frame && frame_tag !== held_tag) problem("m_axis_frame_tid changed inside a frame");
        $fdisplay(events_file, "F %0d %h %b %h %h", now, frame_tag, frame_last, frame_keep, kept_data);
        in_frame = !frame_last;
        if (frame_last) frames = frames + 1;
      end
      held_tag = frame_tag;
    end
  endtask

  task watch_completion;
    begin
      completion_moves = completion_valid && completion_ready;
      if (completion_valid !== 0 && completion_valid !== 1) problem("m_axis_completion_tvalid is unknown");
      if (completion_stalled && !completion_valid) problem("m_axis_completion_tvalid fell before tready");
      if (completion_stalled && completion_valid && completion_data !== held_completion)
        problem("m_axis_completion_tdata changed while it was stalled");
      completion_stalled = completion_valid && !completion_ready;
      held_completion = completion_data;
      if (completion_moves) begin
        if (^completion_data === 1'bx) problem("m_axis_completion_tdata is unknown");
        if (completions >= requests) problem("more completions than requests");
        $fdisplay(events_file, "C %0d %h", now, completion_data);
        completions = completions + 1;
        promised = promised + completion_data[63:32];
      end
    end
  endtask

  task cycle;
    begin
      clk = 0;
      offer;
      #1;
      request_moves = request_valid && request_ready;
      buffer_moves = buffer_valid && buffer_ready;
      watch_frame;
      watch_completion;
      clk = 1;
      #1;
      if (request_moves) begin
        $fdisplay(events_file, "R %0d", now);
        request_valid = 0;
        request_data = 'bx;
        requests_taken = requests_taken + 1;
      end
      if (buffer_moves) begin
        $fdisplay(events_file, "B %0d", now);
        buffer_valid = 0;
        buffer_data = 'bx;
        buffer_keep = 'bx;
        buffer_last = 1'bx;
        beats_taken = beats_taken + 1;
      end
      idle = (request_moves || buffer_moves || frame_moves || completion_moves) ? 0 : idle + 1;
      now = now + 1;
    end
  endtask

  task batch;
    integer start;
    begin
      requests_file = $fopen("requests.txt", "r");
      beats_file = $fopen("beats.txt", "r");
      events_file = $fopen("events.txt", "w");
      requests_taken = 0;
      beats_taken = 0;
      completions = 0;
      frames = 0;
      promised = 0;
      idle = 0;
      start = now;
      while (!failed && (requests_taken < requests || beats_taken < beats || completions < requests_taken
                         || frames < promised || in_frame)) begin
        cycle;
        if (idle > patience) problem("nothing moves any more");
      end
      $fdisplay(events_file, "T %0d", now - start);
      for (n = 0; n < 64 && !failed; n = n + 1) cycle;  // to see that nothing more comes
      `COUNTERS
      $fclose(requests_file);
      $fclose(beats_file);
      $fclose(events_file);
      $display("done");
      $fflush;
    end
  endtask

  initial begin
    if (!$value$plusargs("seed=%d", seed)) seed = 0;
    if (!$value$plusargs("stall=%d", stall)) stall = 0;
    if (!$value$plusargs("patience=%d", patience)) patience = 20000;
    if ($test$plusargs("waves")) begin
      $dumpfile("waves.vcd");
      $dumpvars(0, core);
    end
    now = 0;
    in_frame = 0;
    frame_stalled = 0;
    completion_stalled = 0;
    failed = 0;
    for (n = 0; n < 4; n = n + 1) begin
      clk = 0;
      #1 clk = 1;
      #1 now = now + 1;
    end
    rst = 0;
    got = $fscanf(STDIN, "%d %d", requests, beats);
    while (got == 2) begin
      `CONFIGURE
      batch;
      got = $fscanf(STDIN, "%d %d", requests, beats);
    end
    $finish(0);
  end
endmodule
