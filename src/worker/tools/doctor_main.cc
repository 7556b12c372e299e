#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "engine/gpu_report.h"
#include "worker/tools/command_line.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "What this worker can compute on: the machine's GPUs, and whether kernels for them are in this program. The CPU "
    "is\n"
    "always there, and what is used unless --device says otherwise. `dormouse doctor` looks at the rest.";

std::string verdict_on(const engine::GpuReport::Gpu& gpu) {
  if (!gpu.has_kernels) return "no kernels for it in this program";
  if (!gpu.is_tested) return "--device uses it; untested on such a card";
  std::string out = "ready, --device uses it";
  if (!gpu.is_sampling_tested) out += "; sampling on it is untested, --device-sampling on turns it on";
  if (!gpu.untested_paths.empty()) out += "; untested, --device-paths turns them on: " + gpu.untested_paths;
  return out;
}

void print_lines(const engine::GpuReport& report) {
  fmt::print("GPU kernels in this program, by compute capability: {}\n", report.kernels_for);
  if (!report.problem.empty()) fmt::print("no GPU: {}\n", report.problem);
  for (std::size_t i = 0; i < report.gpus.size(); ++i) {
    const engine::GpuReport::Gpu& gpu = report.gpus[i];
    fmt::print("cuda:{} {}, compute capability {}, {:.1f} GB, driver for CUDA {}: {}\n", i, gpu.name, gpu.compute,
               static_cast<double>(gpu.memory_bytes) / 1e9, report.driver, verdict_on(gpu));
  }
}

void print_json(const engine::GpuReport& report) {
  boost::json::array gpus;
  for (const engine::GpuReport::Gpu& gpu : report.gpus) {
    gpus.push_back(boost::json::object{{"name", gpu.name},
                                       {"compute", gpu.compute},
                                       {"memory_bytes", gpu.memory_bytes},
                                       {"has_kernels", gpu.has_kernels},
                                       {"is_tested", gpu.is_tested},
                                       {"is_sampling_tested", gpu.is_sampling_tested},
                                       {"untested_paths", gpu.untested_paths}});
  }
  const boost::json::object out{{"kernels_for", report.kernels_for},
                                {"driver", report.driver},
                                {"problem", report.problem},
                                {"gpus", std::move(gpus)}};
  fmt::print("{}\n", boost::json::serialize(out));
}

}  // namespace

int run_doctor(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker doctor");
    bool json = false;
    app.add_flag("--json", json, "one JSON object");
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    const engine::GpuReport report = engine::look_at_gpus();
    json ? print_json(report) : print_lines(report);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
