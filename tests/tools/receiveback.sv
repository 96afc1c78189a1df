// Has the ports of the receive core at 8 lanes and passes every frame on, two cycles later, so that the simulators'
// benches can be tested by themselves. The metadata tells of the frame's length and mark, and of bits at the far ends
// of the configuration. cfg_vxlan_port makes it misbehave: see `fault`.

module offramp_receive(clk, rst, s_axis_frame_tdata, s_axis_frame_tkeep, s_axis_frame_tlast, s_axis_frame_tuser,
                       s_axis_frame_tvalid, s_axis_frame_tready, m_axis_frame_tdata, m_axis_frame_tkeep,
                       m_axis_frame_tlast, m_axis_frame_tuser, m_axis_frame_tvalid, m_axis_frame_tready,
                       m_axis_metadata_tdata, m_axis_metadata_tvalid, m_axis_metadata_tready, cfg_vxlan_port,
                       cfg_rx_active, cfg_rss_types, cfg_rss_key, cfg_rss_table, cfg_vmq_filters, stat_frames,
                       stat_bytes);
  input clk;
  input rst;
  input [63:0] s_axis_frame_tdata;
  input [7:0] s_axis_frame_tkeep;
  input s_axis_frame_tlast;
  input s_axis_frame_tuser;
  input s_axis_frame_tvalid;
  output s_axis_frame_tready;
  output [63:0] m_axis_frame_tdata;
  output [7:0] m_axis_frame_tkeep;
  output m_axis_frame_tlast;
  output m_axis_frame_tuser;
  output m_axis_frame_tvalid;
  input m_axis_frame_tready;
  output [159:0] m_axis_metadata_tdata;
  output m_axis_metadata_tvalid;
  input m_axis_metadata_tready;
  input [15:0] cfg_vxlan_port;
  input cfg_rx_active;
  input [7:0] cfg_rss_types;
  input [319:0] cfg_rss_key;
  input [511:0] cfg_rss_table;
  input [1071:0] cfg_vmq_filters;
  output [31:0] stat_frames;
  output [47:0] stat_bytes;

  localparam HANG = 1, LOSE_RECORD = 2, LOSE_FRAME = 3, EXTRA_RECORD = 4, BAD_REASON = 5, BAD_VERDICT = 6,
             RESERVED = 7, EARLY_RECORD = 8, WRONG_MARK = 9, WRONG_BYTE = 10, UNSTABLE = 11, BUBBLE = 12;

  reg [31:0] frames = 0;
  reg [47:0] octets = 0;
  reg [15:0] length = 0;
  reg first_valid = 0;
  reg [73:0] first = 0;
  reg valid = 0;
  reg [73:0] second = 0;
  reg record_valid = 0;
  reg [159:0] record = 0;
  reg stalled = 0;
  reg odd = 0;
  reg [3:0] count;
  integer n;

  wire [15:0] fault = cfg_vxlan_port;
  wire last = s_axis_frame_tlast;
  wire mark = last && s_axis_frame_tuser;
  wire free = !valid || m_axis_frame_tready;
  wire taken = s_axis_frame_tvalid && s_axis_frame_tready;
  wire [15:0] total = length + count;
  wire [7:0] reason = fault == BAD_REASON ? 8'd16 : {7'd0, !cfg_rx_active};

  assign s_axis_frame_tready = free && (!record_valid || m_axis_metadata_tready) && fault != HANG
                               && !(fault == BUBBLE && odd);
  assign m_axis_frame_tdata = second[63:0] ^ (fault == WRONG_BYTE && second[72] ? 64'd1 : 64'd0);
  assign m_axis_frame_tkeep = second[71:64];
  assign m_axis_frame_tlast = second[72];
  assign m_axis_frame_tuser = second[73] ^ (fault == WRONG_MARK);
  assign m_axis_frame_tvalid = valid && !(fault == LOSE_FRAME && frames == 2);
  assign m_axis_metadata_tdata = record ^ (fault == UNSTABLE && stalled);
  assign m_axis_metadata_tvalid = record_valid;
  assign stat_frames = frames;
  assign stat_bytes = octets;

  always @* begin
    count = 0;
    for (n = 0; n < 8; n = n + 1) count = count + s_axis_frame_tkeep[n];
  end

  always @(posedge clk) begin
    stalled <= m_axis_metadata_tvalid && !m_axis_metadata_tready;
    odd <= s_axis_frame_tvalid && !odd;
    if (m_axis_metadata_tready && fault != EXTRA_RECORD) record_valid <= 0;
    if (free) begin
      valid <= first_valid;
      second <= first;
      first_valid <= taken;
      first <= {mark, last, s_axis_frame_tkeep, s_axis_frame_tdata};
    end
    if (taken) begin
      length <= last ? 0 : total;
      octets <= octets + count;
      if (last) frames <= frames + 1;
      if (fault == EARLY_RECORD ? length == 0 : last && !(fault == LOSE_RECORD && frames == 2)) begin
        record_valid <= 1;
        // Reason, queue, protocol, verdicts, layers, length, type, value and checksum word.
        record <= {reason, 4'd0, cfg_rss_table[511:508], 4'd0, cfg_vmq_filters[1071:1068],
                   fault == BAD_VERDICT ? 8'h03 : 8'h00,
                   fault == RESERVED ? 4'h8 : 4'h0, mark, cfg_rss_types[7], 10'd0, total,
                   16'd0, cfg_rss_types, 8'd0, cfg_rss_key[319:288], cfg_rss_key[31:0]};
      end
    end
    if (rst) begin
      first_valid <= 0;
      valid <= 0;
      record_valid <= 0;
      length <= 0;
      odd <= 0;
    end
  end
endmodule
