// Drives a core under Icarus: what harness.cpp is for Verilator, in plain Verilog.
//
// Every line on standard input is a batch: the number of requests, the number of packet beats and the values of
// the configuration inputs. Its requests and beats are read from requests.txt and beats.txt, and what happens is
// written to events.txt, a line an event; a line on standard output says that the batch has ended. What carries
// nothing is driven with X, so that a core which looks at it is found out.
//
// ports.vh, generated from the core's ports, defines `LANES and other widths, what the core has, its connections,
// the configuration registers, and how to read and to print what differs from build to build. A core that wants
// requests says in each record how many frames it stands for; one without answers every packet with one of each.

`timescale 1ns / 1ps
`include "ports.vh"

module bench;
  localparam LANES = `LANES;
  localparam STDIN = 32'h8000_0000;

  reg clk = 0;
  reg rst = 1;

  reg [`REQUEST_BITS-1:0] request_data;
  reg request_valid = 0;
  wire request_ready;

  reg [8*LANES-1:0] packet_data;
  reg [LANES-1:0] packet_keep;
  reg packet_last;
  reg packet_mark;
  reg packet_valid = 0;
  wire packet_ready;

  wire [8*LANES-1:0] frame_data;
  wire [LANES-1:0] frame_keep;
  wire frame_last;
  wire [`SIDE_BITS-1:0] frame_side;
  wire frame_valid;
  reg frame_ready = 0;

  wire [`RECORD_BITS-1:0] record_data;
  wire record_valid;
  reg record_ready = 0;

  `CONFIGURATION

  `CORE core (.clk(clk), .rst(rst), `CONNECTIONS);

  integer requests_file, beats_file, events_file, got;
  integer requests, beats, requests_taken, packets_taken, beats_taken, records, frames, promised;
  integer seed, stall, patience, now, idle, n;
  reg in_frame, frame_stalled, record_stalled, failed;
  reg request_moves, packet_moves, frame_moves, record_moves;
  reg [8*LANES-1:0] held_data, kept_data;
  reg [LANES-1:0] held_keep;
  reg held_last;
  reg [`SIDE_BITS-1:0] held_side;
  reg [`RECORD_BITS-1:0] held_record;

  // Records that the core owes for what it has taken in.
  function integer records_due(input integer unused);
    records_due = `HAS_REQUESTS ? requests_taken : packets_taken;
  endfunction

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
      if (!packet_valid && beats_taken < beats && go(0)) begin
        got = $fscanf(beats_file, "%b %h %h %h", packet_mark, packet_last, packet_keep, packet_data);
        packet_valid = 1;
      end
      frame_ready = go(0);
      record_ready = go(0);
    end
  endtask

  task watch_frame;
    begin
      frame_moves = frame_valid && frame_ready;
      if (frame_valid !== 0 && frame_valid !== 1) problem("m_axis_frame_tvalid is unknown");
      if (frame_stalled && !frame_valid) problem("m_axis_frame_tvalid fell before tready");
      if (frame_stalled && frame_valid
          && {frame_data, frame_keep, frame_last, frame_side} !== {held_data, held_keep, held_last, held_side})
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
        if (^{kept_data, frame_keep, frame_last} === 1'bx) problem("m_axis_frame is unknown");
        // A mark counts beside the last beat only, a tag stands beside all of them.
        if ((!`HAS_MARK || frame_last) && ^frame_side === 1'bx) problem("what is beside m_axis_frame is unknown");
        if (!`HAS_MARK && in_frame && frame_side !== held_side) problem("m_axis_frame_tid changed inside a frame");
        $fdisplay(events_file, "F %0d %h %b %h %h", now, frame_side, frame_last, frame_keep, kept_data);
        in_frame = !frame_last;
        if (frame_last) frames = frames + 1;
      end
      held_side = frame_side;
    end
  endtask

  task watch_record;
    begin
      record_moves = record_valid && record_ready;
      if (record_valid !== 0 && record_valid !== 1) problem({`RECORDS, "_tvalid is unknown"});
      if (record_stalled && !record_valid) problem({`RECORDS, "_tvalid fell before tready"});
      if (record_stalled && record_valid && record_data !== held_record)
        problem({`RECORDS, "_tdata changed while it was stalled"});
      record_stalled = record_valid && !record_ready;
      held_record = record_data;
      if (record_moves) begin
        if (^record_data === 1'bx) problem({`RECORDS, "_tdata is unknown"});
        if (records >= records_due(0)) problem({`RECORDS, " has more records than there was reason for"});
        $fdisplay(events_file, "C %0d %h", now, record_data);
        records = records + 1;
        promised = promised + (`HAS_REQUESTS ? record_data[63:32] : 1);
      end
    end
  endtask

  task cycle;
    begin
      clk = 0;
      offer;
      #1;
      request_moves = request_valid && request_ready;
      packet_moves = packet_valid && packet_ready;
      watch_frame;
      watch_record;
      clk = 1;
      #1;
      if (request_moves) begin
        $fdisplay(events_file, "R %0d", now);
        request_valid = 0;
        request_data = 'bx;
        requests_taken = requests_taken + 1;
      end
      if (packet_moves) begin
        $fdisplay(events_file, "B %0d", now);
        packets_taken = packets_taken + packet_last;
        packet_valid = 0;
        packet_data = 'bx;
        packet_keep = 'bx;
        packet_last = 1'bx;
        packet_mark = 1'bx;
        beats_taken = beats_taken + 1;
      end
      idle = (request_moves || packet_moves || frame_moves || record_moves) ? 0 : idle + 1;
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
      packets_taken = 0;
      beats_taken = 0;
      records = 0;
      frames = 0;
      promised = 0;
      idle = 0;
      start = now;
      while (!failed && (requests_taken < requests || beats_taken < beats || records < records_due(0)
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
    record_stalled = 0;
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
