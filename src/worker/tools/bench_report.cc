#include "worker/tools/bench_report.h"

#include <fmt/format.h>

namespace dormouse::worker {
namespace {

void print_row(const std::string& name, const Measured& row, double steps_unit, const BenchResult& machine) {
  const Speed& s = row.speed;
  const std::string of_peak =
      machine.int8_tops > 0 ? fmt::format("{:.0f} %", 100 * row.tops() / machine.int8_tops) : "-";
  const bool has_read = row.read_gb_s > 0;
  fmt::print("{:<38} {:>9.2f} {:>16} {:>10.1f} {:>7.1f} {:>10} {:>7} {:>7.2f} {:>8}\n", name, s.median,
             fmt::format("{:.2f}..{:.2f}", s.least, s.most), 1e3 * steps_unit / s.median, row.gb_s(),
             has_read ? fmt::format("{:.1f}", row.read_gb_s) : "-",
             has_read ? fmt::format("{:.0f} %", 100 * row.gb_s() / row.read_gb_s) : "-", row.tops(), of_peak);
}

std::string json_of(const Measured& row) {
  const Speed& s = row.speed;
  return fmt::format(R"({{"median":{:.3f},"mean":{:.3f},"least":{:.3f},"most":{:.3f},)"
                     R"("gb_s":{:.2f},"read_gb_s":{:.2f},"tops":{:.3f}}})",
                     s.median, s.mean, s.least, s.most, row.gb_s(), row.read_gb_s, row.tops());
}

}  // namespace

void print_table(const BenchOptions& options, const BenchResult& result) {
  fmt::print("{}: {:.0f} MB, isa {}, {} threads, loaded in {:.0f} ms, resident {:.0f} MB\n", options.file,
             result.file_bytes / 1e6, result.isa, result.threads, result.load_ms, result.resident_bytes / 1e6);
  if (result.int8_tops > 0) fmt::print("int8 products on registers alone: {:.2f} TOPS\n", result.int8_tops);
  fmt::print("\n{:<38} {:>9} {:>16} {:>10} {:>7} {:>10} {:>7} {:>7} {:>8}\n", "", "tokens/s", "least..most",
             "ms a step", "GB/s", "plain read", "of it", "TOPS", "of int8");
  if (options.prefill > 0) {
    print_row(fmt::format("prefill {}", options.prefill), result.prefill, options.prefill, result);
  }
  for (const auto& [streams, row] : result.decode) {
    const std::string behind =
        options.context > 0 ? fmt::format(" behind {}{}", options.context, options.shared ? " shared" : "") : "";
    print_row(fmt::format("decode {} stream{}{}{}", streams, streams == 1 ? "" : "s", behind,
                          options.kv_type == "q8" ? ", kv q8" : ""),
              row, streams, result);
  }
}

void print_json(const BenchOptions& options, const BenchResult& result) {
  std::string decode;
  for (const auto& [streams, row] : result.decode) {
    decode += fmt::format("{}\"{}\":{}", decode.empty() ? "" : ",", streams, json_of(row));
  }
  fmt::print(R"({{"isa":"{}","threads":{},"int8_tops":{:.3f},"load_ms":{:.1f},"file_bytes":{:.0f},)"
             R"("resident_bytes":{:.0f},"kv_type":"{}","shared":{},"prefill_tokens":{},"prefill_tps":{},"context":{},)"
             R"("decode_tps":{{{}}}}})"
             "\n",
             result.isa, result.threads, result.int8_tops, result.load_ms, result.file_bytes, result.resident_bytes,
             options.kv_type, options.shared, options.prefill, json_of(result.prefill), options.context, decode);
}

}  // namespace dormouse::worker
