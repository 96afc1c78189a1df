// Drives a core beat by beat so that Python need not: packets and their requests are queued as bytes, many
// cycles run per call, and frames and records are read back as bytes with the cycles they took.
//
// Built by build.py together with the verilated core and the generated ports.hpp, which holds what
// depends on the build: the width, what the streams are called, and the lists of configuration and counter
// ports. A core that wants requests (the send path) says in each record how many frames it stands for; one
// without (the receive path) answers every packet with one frame and one record. The functions between
// `extern "C"` are the interface that Python calls through ctypes; the structs are read there field by field.

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#include "ports.hpp"

namespace {

constexpr uint64_t reset_cycles = 4;
constexpr uint64_t full_keep = lanes == 64 ? ~uint64_t{0} : (uint64_t{1} << lanes) - 1;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "verilated words are copied as little-endian bytes");

// What the simulation has printed, and whether an assertion has failed.
thread_local std::string said;
thread_local bool stopped = false;

struct Packet {
    uint64_t offset;  // of the first byte, in `given`
    uint64_t length;  // bytes
    bool mark;        // beside the last beat
};

struct Frame {
    uint64_t offset;       // of the first byte, in `sent`
    uint64_t length;       // bytes
    uint64_t first_cycle;  // of the first beat transferred
    uint64_t last_cycle;   // of the last beat transferred
    uint64_t beats;
    uint64_t side;         // what stands beside the last beat
};

struct Record {
    uint8_t octets[record_bytes];
    uint64_t cycle;
};

enum Status : int64_t { drained = 0, running = 1, hung = 2, broken = 3 };

// What an output channel showed in the last cycle, to see that it holds still while it is stalled.
struct Held {
    bool stalled = false;
    uint8_t data[lanes > record_bytes ? lanes : record_bytes];
    uint64_t keep = 0;
    uint64_t side = 0;
    bool last = false;

    bool same(const Held& other, size_t count) const {
        return std::memcmp(data, other.data, count) == 0 && keep == other.keep && side == other.side && last == other.last;
    }
};

class Bench {
public:
    Bench(uint64_t seed, double stall, const char* waves) : random_state(seed * 0x9E3779B97F4A7C15u + 1) {
        stall_threshold = static_cast<uint32_t>(stall * 65536.0);
        context = std::make_unique<VerilatedContext>();
        context->randReset(2);
        context->randSeed(static_cast<int>(seed % 0x7FFFFFFF) + 1);
#if VM_TRACE
        context->traceEverOn(waves != nullptr);
#endif
        core = std::make_unique<Vtop>(context.get());
#if VM_TRACE
        if (waves != nullptr) {
            trace = std::make_unique<VerilatedVcdC>();
            core->trace(trace.get(), 99);
            trace->open(waves);
        }
#else
        (void)waves;
#endif
        reset();
    }

    ~Bench() {
#if VM_TRACE
        if (trace) trace->close();
#endif
        core->final();
    }

    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    void reset() {
#if HAS_REQUESTS
        core->REQUESTS(tvalid) = 0;
#endif
        core->PACKETS(tvalid) = 0;
        core->m_axis_frame_tready = 0;
        core->RECORDS(tready) = 0;
        core->rst = 1;
        for (uint64_t n = 0; n < reset_cycles; n++, now++) {
            level(false);
            level(true);
        }
        core->rst = 0;
        problem.clear();
        said.clear();
        stopped = false;
        forget();
    }

    void configure(const uint64_t* words) { set_config(*core, words); }

    void queue(const uint8_t* request, const uint64_t* lengths, uint64_t count, const uint8_t* bytes, bool mark) {
        requests.insert(requests.end(), request, request + request_bytes);
        for (uint64_t n = 0; n < count; n++) {
            packets.push_back({given.size(), lengths[n], mark});
            given.insert(given.end(), bytes, bytes + lengths[n]);
            bytes += lengths[n];
        }
    }

    // Everything queued or received is forgotten; cycle numbers go on.
    void forget() {
        requests.clear();
        packets.clear();
        given.clear();
        sent.clear();
        frames.clear();
        records.clear();
        request_cycles.clear();
        packet_cycles.clear();
        frame_cycles.clear();
        requests_taken = packets_taken = frames_promised = packet_offset = 0;
        inside_frame = false;
        idle_cycles = 0;
        frame_held = record_held = Held{};
    }

    // Records that the core owes for what it has taken in.
    uint64_t records_due() const { return HAS_REQUESTS ? requests_taken : packets_taken; }

    bool all_done() const {
        return requests_taken * request_bytes == requests.size() && packets_taken == packets.size() &&
               records.size() == records_due() && frames.size() >= frames_promised && !inside_frame;
    }

    Status run(uint64_t max_cycles, uint64_t patience) {
        for (uint64_t n = 0; n < max_cycles; n++) {
            if (!problem.empty()) return broken;
            if (all_done()) return drained;
            if (idle_cycles > patience) return hung;
            cycle();
        }
        if (!problem.empty()) return broken;
        return all_done() ? drained : running;
    }

    // Runs on after everything has drained, to see that nothing more comes.
    void settle(uint64_t count) {
        for (uint64_t n = 0; n < count && problem.empty(); n++) cycle();
    }

    uint64_t now = 0;
    std::string problem;
    std::vector<uint8_t> sent;
    std::vector<Frame> frames;
    std::vector<Record> records;
    std::vector<uint64_t> request_cycles, packet_cycles, frame_cycles;
    uint64_t requests_taken = 0, packets_taken = 0, frames_promised = 0;
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vtop> core;  // goes before its context

private:
    uint64_t random() {  // splitmix64
        uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }

    // Inputs set before the low level settle in it; registers take them at the high level.
    void level(bool high) {
        core->clk = high;
        core->eval();
        if (stopped) {
            while (!said.empty() && said.back() == '\n') said.pop_back();
            problem = said;
            said.clear();
            stopped = false;
        }
#if VM_TRACE
        if (trace) trace->dump(2 * now + high);
#endif
    }

    // Bytes that carry nothing are noise, so that a core which looks at them is found out.
    void fill(uint8_t* octets, size_t count) {
        for (size_t n = 0; n < count; n += 8) {
            const uint64_t noise = random();
            std::memcpy(octets + n, &noise, count - n < 8 ? count - n : 8);
        }
    }

#if HAS_REQUESTS
    void offer_request() {
        const uint64_t start = requests_taken * request_bytes;
        put(core->REQUESTS(tdata), &requests[start], request_bytes);
        core->REQUESTS(tvalid) = 1;
    }
#endif

    void offer_beat() {
        const Packet& packet = packets[packets_taken];
        const uint64_t left = packet.length - packet_offset;
        const uint64_t count = left < lanes ? left : lanes;
        uint8_t beat[lanes];
        if (count < lanes) fill(beat, lanes);
        std::memcpy(beat, &given[packet.offset + packet_offset], count);
        put(core->PACKETS(tdata), beat, lanes);
        const uint64_t keep = count == lanes ? full_keep : (uint64_t{1} << count) - 1;
        core->PACKETS(tkeep) = keep;
        core->PACKETS(tlast) = left <= lanes;
#if HAS_MARK
        core->PACKETS(tuser) = left <= lanes ? packet.mark : random() & 1;
#endif
        core->PACKETS(tvalid) = 1;
    }

    void cycle() {
        const uint64_t dice = stall_threshold != 0 ? random() : ~uint64_t{0};
        const auto go = [&](unsigned channel) { return ((dice >> (16 * channel)) & 0xFFFF) >= stall_threshold; };
#if HAS_REQUESTS
        if (!core->REQUESTS(tvalid) && requests_taken * request_bytes < requests.size() && go(0)) offer_request();
#endif
        if (!core->PACKETS(tvalid) && packets_taken < packets.size() && go(1)) offer_beat();
        core->m_axis_frame_tready = go(2);
        core->RECORDS(tready) = go(3);

        level(false);
#if HAS_REQUESTS
        const bool request_moves = core->REQUESTS(tvalid) && core->REQUESTS(tready);
#else
        const bool request_moves = false;
#endif
        const bool packet_moves = core->PACKETS(tvalid) && core->PACKETS(tready);
        const bool frame_moves = watch_frame();
        const bool record_moves = watch_record();

        level(true);
#if HAS_REQUESTS
        if (request_moves) {
            core->REQUESTS(tvalid) = 0;
            request_cycles.push_back(now);
            requests_taken++;
        }
#endif
        if (packet_moves) {
            core->PACKETS(tvalid) = 0;
            packet_cycles.push_back(now);
            packet_offset += lanes;
            if (packet_offset >= packets[packets_taken].length) {
                packet_offset = 0;
                packets_taken++;
            }
        }
        idle_cycles = request_moves || packet_moves || frame_moves || record_moves ? 0 : idle_cycles + 1;
        now++;
    }

    bool watch_frame() {
        if (!core->m_axis_frame_tvalid) {
            if (frame_held.stalled) problem = "m_axis_frame_tvalid fell before tready";
            frame_held.stalled = false;
            return false;
        }
        Held shown;
        get(core->m_axis_frame_tdata, shown.data, lanes);
        shown.keep = core->m_axis_frame_tkeep;
        shown.side = core->FRAME_SIDE;
        shown.last = core->m_axis_frame_tlast;
        if (frame_held.stalled && !shown.same(frame_held, lanes)) problem = "m_axis_frame changed while it was stalled";
        shown.stalled = !core->m_axis_frame_tready;
        frame_held = shown;
        if (shown.stalled) return false;

        if (shown.keep == 0 || (shown.keep & (shown.keep + 1)) != 0) problem = "m_axis_frame_tkeep is not contiguous from lane 0";
        if (!shown.last && shown.keep != full_keep) problem = "m_axis_frame_tkeep is partial before tlast";
        if (!inside_frame) {
            frames.push_back({sent.size(), 0, now, 0, 0, shown.side});
            inside_frame = true;
        }
        Frame& frame = frames.back();
        // A mark counts beside the last beat only, a tag stands beside all of them.
        if (!HAS_MARK && frame.side != shown.side) problem = "m_axis_frame_tid changed inside a frame";
        frame.side = shown.side;
        const unsigned count = static_cast<unsigned>(__builtin_popcountll(shown.keep));
        sent.insert(sent.end(), shown.data, shown.data + count);
        frame_cycles.push_back(now);
        frame.length += count;
        frame.beats++;
        frame.last_cycle = now;
        if (shown.last) inside_frame = false;
        return true;
    }

    bool watch_record() {
        if (!core->RECORDS(tvalid)) {
            if (record_held.stalled) problem = RECORDS_NAME "_tvalid fell before tready";
            record_held.stalled = false;
            return false;
        }
        Held shown;
        get(core->RECORDS(tdata), shown.data, record_bytes);
        if (record_held.stalled && !shown.same(record_held, record_bytes))
            problem = RECORDS_NAME "_tdata changed while it was stalled";
        shown.stalled = !core->RECORDS(tready);
        record_held = shown;
        if (shown.stalled) return false;

        if (records.size() >= records_due()) {
            problem = RECORDS_NAME " has more records than there was reason for";
            return true;
        }
        Record record;
        std::memcpy(record.octets, shown.data, record_bytes);
        record.cycle = now;
        records.push_back(record);
        uint32_t promised = 1;
        if (HAS_REQUESTS) std::memcpy(&promised, shown.data + 4, sizeof promised);
        frames_promised += promised;
        return true;
    }

#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif
    uint64_t random_state;
    uint32_t stall_threshold = 0;
    std::vector<uint8_t> requests, given;
    std::vector<Packet> packets;
    uint64_t packet_offset = 0, idle_cycles = 0;
    bool inside_frame = false;
    Held frame_held, record_held;
};

}  // namespace

// Verilator calls this where an assertion fails.
void vl_stop(const char*, int, const char*) { stopped = true; }

extern "C" int bench_printf(const char* format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    const int count = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    said += text;
    return count;
}

// All else stays hidden, so that several builds can be loaded into one process.
#pragma GCC visibility push(default)
extern "C" {

Bench* bench_open(uint64_t seed, double stall, const char* waves) { return new Bench(seed, stall, waves); }
void bench_close(Bench* bench) { delete bench; }
void bench_reset(Bench* bench) { bench->reset(); }
void bench_configure(Bench* bench, const uint64_t* words) { bench->configure(words); }
void bench_queue(Bench* bench, const uint8_t* request, const uint64_t* lengths, uint64_t count, const uint8_t* bytes,
                 int mark) {
    bench->queue(request, lengths, count, bytes, mark != 0);
}
void bench_forget(Bench* bench) { bench->forget(); }
int64_t bench_run(Bench* bench, uint64_t cycles, uint64_t patience) { return bench->run(cycles, patience); }
void bench_settle(Bench* bench, uint64_t cycles) { bench->settle(cycles); }
uint64_t bench_now(const Bench* bench) { return bench->now; }
const char* bench_problem(const Bench* bench) { return bench->problem.c_str(); }
void bench_progress(const Bench* bench, uint64_t* counts) {
    counts[0] = bench->requests_taken;
    counts[1] = bench->packets_taken;
    counts[2] = bench->frames.size();
    counts[3] = bench->frames_promised;
    counts[4] = bench->records.size();
    counts[5] = bench->sent.size();
    counts[6] = bench->packet_cycles.size();
    counts[7] = bench->frame_cycles.size();
}
void bench_counters(const Bench* bench, uint64_t* values) { get_counters(*bench->core, values); }
const Frame* bench_frames(const Bench* bench) { return bench->frames.data(); }
const Record* bench_records(const Bench* bench) { return bench->records.data(); }
const uint8_t* bench_sent(const Bench* bench) { return bench->sent.data(); }
const uint64_t* bench_request_cycles(const Bench* bench) { return bench->request_cycles.data(); }
const uint64_t* bench_packet_cycles(const Bench* bench) { return bench->packet_cycles.data(); }
const uint64_t* bench_frame_cycles(const Bench* bench) { return bench->frame_cycles.data(); }

}  // extern "C"
#pragma GCC visibility pop
