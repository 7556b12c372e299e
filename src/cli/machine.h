// What this machine has that matters here, read from /proc and /sys. Nothing is measured. Threads: any.
#pragma once

#include <cstdint>
#include <string>

namespace dormouse::cli {

struct Machine {
  int cores = 1;               // this process may run on
  double quota_cores = 0;      // cgroup CPU quota; 0: none
  int online_cores = 1;        // of the whole machine, as `load` is
  double load = 0;             // runnable tasks, the mean of the last minute
  bool avx2 = false;           // with FMA and F16C, as the kernels need it
  bool avx512 = false;         // F, BW, VL, VNNI
  bool amx = false;            // int8 and bf16
  std::int64_t ram_bytes = 0;  // of the machine or the cgroup, the smaller
  std::int64_t available_bytes = 0;

  // That can really work at once: by the quota, rounded up.
  [[nodiscard]] int usable_cores() const;
  // "AVX-512 + AMX", "AVX2", "no AVX2"
  [[nodiscard]] std::string isa_words() const;
};

[[nodiscard]] Machine look_at_machine();

}  // namespace dormouse::cli
