// What bench measured, and how it tells. Immutable data; printing goes to stdout.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace dormouse::worker {

struct BenchOptions {
  std::string file;
  std::string packed_directory;
  std::string isa;
  std::string device = "cpu";
  std::string device_paths = "auto";
  std::string kv_type = "fp16";
  std::int32_t threads = 0;
  std::int32_t prefill = 512;
  std::int32_t tokens = 32;
  std::int32_t repetitions = 3;
  std::vector<std::int32_t> streams{1, 8};
  std::int32_t context = 0;  // tokens before the decoded ones
  bool shared = false;       // they are one prompt's, whose pages all streams share
  bool json = false;
};

// Tokens a second over repetitions. The mean is all tokens over all time: under a CPU quota most steps run at full
// speed and a few wait for the next period, which the median does not see.
struct Speed {
  double median = 0;
  double mean = 0;
  double least = 0;
  double most = 0;
};

// A speed and what it takes of the machine's limits.
struct Measured {
  Speed speed;
  double steps_s = 0;     // of the median
  double step_bytes = 0;  // weights once, and the keys and values that a step reads
  double step_operations = 0;
  double read_gb_s = 0;  // what a plain read made just before and after, median; 0 on a GPU

  [[nodiscard]] double gb_s() const { return steps_s * step_bytes / 1e9; }
  [[nodiscard]] double tops() const { return steps_s * step_operations / 1e12; }
};

struct BenchResult {
  double int8_tops = 0;  // 0: the table does not tell, or a GPU
  double load_ms = 0;
  double file_bytes = 0;
  double resident_bytes = 0;
  std::string isa;
  std::int32_t threads = 0;
  Measured prefill;
  std::map<std::int32_t, Measured> decode;  // by streams
};

void print_table(const BenchOptions& options, const BenchResult& result);
void print_json(const BenchOptions& options, const BenchResult& result);

}  // namespace dormouse::worker
