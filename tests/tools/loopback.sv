// Has the ports of the send core at 8 lanes and sends every buffer back as a frame, so that the simulators' benches
// can be tested by themselves. cfg_vxlan_port makes it misbehave: see `fault`.

module offramp_send(clk, rst, s_axis_request_tdata, s_axis_request_tvalid, s_axis_request_tready,
                    s_axis_buffer_tdata, s_axis_buffer_tkeep, s_axis_buffer_tlast, s_axis_buffer_tvalid,
                    s_axis_buffer_tready, m_axis_frame_tdata, m_axis_frame_tkeep, m_axis_frame_tlast,
                    m_axis_frame_tid, m_axis_frame_tvalid, m_axis_frame_tready, m_axis_completion_tdata,
                    m_axis_completion_tvalid, m_axis_completion_tready, cfg_vxlan_port, cfg_lso_ipv4,
                    stat_requests, stat_frames);
  input clk;
  input rst;
  input [223:0] s_axis_request_tdata;
  input s_axis_request_tvalid;
  output s_axis_request_tready;
  input [63:0] s_axis_buffer_tdata;
  input [7:0] s_axis_buffer_tkeep;
  input s_axis_buffer_tlast;
  input s_axis_buffer_tvalid;
  output s_axis_buffer_tready;
  output [63:0] m_axis_frame_tdata;
  output [7:0] m_axis_frame_tkeep;
  output m_axis_frame_tlast;
  output [15:0] m_axis_frame_tid;
  output m_axis_frame_tvalid;
  input m_axis_frame_tready;
  output [127:0] m_axis_completion_tdata;
  output m_axis_completion_tvalid;
  input m_axis_completion_tready;
  input [15:0] cfg_vxlan_port;
  input cfg_lso_ipv4;
  output [31:0] stat_requests;
  output [31:0] stat_frames;

  localparam IDLE = 0, PASS = 1, DONE = 2;
  localparam HANG = 1, DROP_VALID = 2, UNSTABLE = 3, HOLE = 4, PARTIAL = 5, WRONG_TAG = 6, LOSE_FRAME = 7,
             BAD_STATUS = 8, EXTRA_COMPLETION = 9, ASSERTION = 10;

  reg [1:0] state = IDLE;
  reg [15:0] tag = 0;
  reg [15:0] buffers = 0;
  reg [31:0] requests = 0;
  reg [31:0] frames = 0;
  reg [31:0] segments = 0;
  reg valid = 0;
  reg [63:0] data = 0;
  reg [7:0] keep = 0;
  reg last = 0;
  reg stalled = 0;
  wire [15:0] fault = cfg_vxlan_port;

  assign s_axis_request_tready = state == IDLE && fault != HANG;
  assign s_axis_buffer_tready = state == PASS && (!valid || m_axis_frame_tready);
  assign m_axis_frame_tvalid = valid && !(fault == DROP_VALID && stalled);
  assign m_axis_frame_tdata = data ^ (fault == UNSTABLE && stalled);
  assign m_axis_frame_tkeep = fault == HOLE && last ? 8'h05 : fault == PARTIAL && !last ? 8'h0F : keep;
  assign m_axis_frame_tlast = last;
  assign m_axis_frame_tid = fault == WRONG_TAG ? tag + 1 : tag;
  assign m_axis_completion_tvalid = state == DONE && !valid;
  assign m_axis_completion_tdata = {64'd0, segments + (fault == LOSE_FRAME), 8'd0, fault == BAD_STATUS ? 8'd99 : 8'd0, tag};
  assign stat_requests = requests;
  assign stat_frames = frames;

  always @(posedge clk) begin
    stalled <= m_axis_frame_tvalid && !m_axis_frame_tready;
    if (m_axis_frame_tready) valid <= 0;
    if (m_axis_frame_tvalid && m_axis_frame_tready && last) frames <= frames + 1;
    case (state)
      IDLE: if (s_axis_request_tvalid && s_axis_request_tready) begin
        tag <= s_axis_request_tdata[15:0];
        buffers <= s_axis_request_tdata[31:16];
        requests <= requests + 1;
        segments <= 0;
        state <= PASS;
      end
      PASS: if (s_axis_buffer_tvalid && s_axis_buffer_tready) begin
        valid <= 1;
        data <= s_axis_buffer_tdata;
        keep <= s_axis_buffer_tkeep;
        last <= s_axis_buffer_tlast;
        if (s_axis_buffer_tlast) begin
          segments <= segments + 1;
          buffers <= buffers - 1;
          if (buffers == 1) state <= DONE;
        end
      end
      default: if (m_axis_completion_tvalid && m_axis_completion_tready && fault != EXTRA_COMPLETION) state <= IDLE;
    endcase
    if (fault == ASSERTION && state == DONE) begin
      $write("the loopback never ends well");
      assert (0);
    end
    if (rst) begin
      state <= IDLE;
      valid <= 0;
    end
  end
endmodule
