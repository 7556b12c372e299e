#include "cli/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

namespace dormouse::cli {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::int64_t to_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() ? value : 0;
}

// Of /proc/meminfo, in bytes.
std::int64_t memory_line(std::string_view name) {
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(name)) continue;
    const std::size_t digit = line.find_first_of("0123456789");
    if (digit != std::string::npos) return to_number(std::string_view(line).substr(digit)) * 1024;
  }
  return 0;
}

std::string cpu_flags() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("flags")) return line + " ";
  }
  return {};
}

bool has_all(const std::string& flags, std::initializer_list<std::string_view> wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&flags](std::string_view flag) {
    return flags.find(fmt::format(" {} ", flag)) != std::string::npos;
  });
}

// cgroup v2's "cpu.max": "max 100000" or "150000 100000".
double quota_cores() {
  std::istringstream line(first_line("/sys/fs/cgroup/cpu.max"));
  std::string quota;
  std::int64_t period = 0;
  if (!(line >> quota >> period) || quota == "max" || period <= 0) return 0;
  return static_cast<double>(to_number(quota)) / static_cast<double>(period);
}

}  // namespace

std::string Machine::isa_words() const {
  if (!avx2) return "no AVX2";
  std::string out = avx512 ? "AVX-512" : "AVX2";
  if (amx) out += " + AMX";
  return out;
}

int Machine::usable_cores() const {
  return quota_cores > 0 ? std::min(cores, std::max(1, static_cast<int>(std::ceil(quota_cores)))) : cores;
}

Machine look_at_machine() {
  Machine out;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) out.cores = std::max(1, CPU_COUNT(&set));
  out.quota_cores = quota_cores();
  out.online_cores = std::max<int>(out.cores, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
  ::getloadavg(&out.load, 1);
  const std::string flags = cpu_flags();
  out.avx2 = has_all(flags, {"avx2", "fma", "f16c"});
  out.avx512 = has_all(flags, {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"});
  out.amx = has_all(flags, {"amx_tile", "amx_int8", "amx_bf16"});
  out.ram_bytes = memory_line("MemTotal:");
  out.available_bytes = memory_line("MemAvailable:");
  const std::string limit = first_line("/sys/fs/cgroup/memory.max");
  if (!limit.empty() && limit != "max" && to_number(limit) > 0) {
    out.ram_bytes = std::min(out.ram_bytes, to_number(limit));
    out.available_bytes = std::min(out.available_bytes, out.ram_bytes);
  }
  return out;
}

}  // namespace dormouse::cli
