// Included in front of the simulator's own library: what a simulation would print goes to the harness instead,
// which makes it part of the error that it reports, and a failed assertion does not end the process.
#pragma once

#define VL_USER_STOP
#define VL_PRINTF bench_printf

extern "C" int bench_printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
