// The verb `doctor`: what this machine can do, what is wrong, what to do.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <memory>

#include "catalog/catalog.h"
#include "cli/doctor_checks.h"
#include "cli/image_fit.h"
#include "cli/image_text.h"
#include "cli/read_speed.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kNoteColumns = 100;

struct Report {
  Machine machine;
  double read_bytes_per_s = 0;  // measured; 0: not
  std::vector<Finding> findings;
  std::vector<Place> places;
  std::vector<ImageFit> images;
};

// 32-bit products and sums of one core a second, from two fused units of the vectors' width at some 2.5 GHz: 160, 80,
// and 20 without AVX2. One answer is limited by the memory long before; this only keeps the smallest models honest.
double flops_of(const Machine& machine) {
  const double core = machine.avx512 ? 160e9 : machine.avx2 ? 80e9 : 20e9;
  const double cores = machine.quota_cores > 0 ? std::min<double>(machine.cores, machine.quota_cores) : machine.cores;
  return core * cores;
}

std::vector<Place> places_of(const Report& report, const Result<WorkerGpus>& gpus) {
  std::vector<Place> out{ram_place(report.machine.available_bytes, report.read_bytes_per_s, flops_of(report.machine))};
  const Result<catalog::InstanceTypes> types = catalog::InstanceTypes::built_in();
  if (!gpus.has_value() || !types.has_value()) return out;
  for (std::size_t i = 0; i < gpus->gpus.size(); ++i) {
    const WorkerGpu& gpu = gpus->gpus[i];
    if (gpu.has_kernels) out.push_back(gpu_place(i, gpu.name, gpu.memory_bytes, types->all()));
  }
  return out;
}

std::vector<ImageWish> gallery_wishes(const Context& context) {
  std::vector<ImageWish> out;
  const Result<catalog::Catalog> gallery = read_gallery(context);
  if (!gallery.has_value()) return out;
  for (const catalog::Image& image : gallery->images()) {
    out.push_back({image.reference(), image.parameters, image.quantisation});
  }
  return out;
}

Finding check_read_speed(const Context& context, const Report& report) {
  const Machine& machine = report.machine;
  if (!is_busy(machine.load, machine.online_cores)) {
    return {Verdict::kGood, "read_speed",
            fmt::format(fmt::runtime(context.say("memory is read at {:.1f} GB/s (measured just now)",
                                                 "内存读取速度 {:.1f} GB/s（刚刚实测）")),
                        report.read_bytes_per_s / 1e9)};
  }
  return {
      Verdict::kWarning, "read_speed",
      fmt::format(
          fmt::runtime(context.say(
              "busy: load {:.1f} on {} cores, memory measured low at {:.1f} GB/s: when idle, it and the speeds below "
              "may be higher; run doctor again then",
              "系统繁忙：负载 {:.1f}，共 {} 核，内存读取速度测得 {:.1f} GB/s，可能偏低；空闲时再运行 doctor，"
              "该值和下面的速度会更高")),
          machine.load, machine.online_cores, report.read_bytes_per_s / 1e9)};
}

Report examine(const Context& context) {
  Report out;
  out.machine = look_at_machine();
  out.read_bytes_per_s = measure_read_speed(out.machine.usable_cores(), out.machine.available_bytes);
  const Result<WorkerGpus> gpus = find_gpus(context);
  out.findings = check_all(context, out.machine, gpus);
  if (out.read_bytes_per_s > 0) out.findings.push_back(check_read_speed(context, out));
  std::stable_sort(out.findings.begin(), out.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.verdict < b.verdict; });
  out.places = places_of(out, gpus);
  out.images = fit_images(gallery_wishes(context), out.places);
  return out;
}

std::string fit_text(const Context& context, const PlaceFit& fit) {
  if (fit.verdict == PlaceFit::Verdict::kTooLarge) return std::string(context.say("too large", "放不下"));
  if (!fit.tokens_per_s.has_value()) return std::string(context.say("fits", "放得下"));
  return fmt::format(fmt::runtime(context.say("~{:.{}f} tokens/s", "约 {:.{}f} 词元/秒")), *fit.tokens_per_s,
                     *fit.tokens_per_s < 10 ? 1 : 0);
}

void print_images(const Context& context, const Report& report) {
  if (report.images.empty()) return;
  std::vector<std::string> header{std::string(context.say("IMAGE", "镜像")), std::string(context.say("NEEDS", "需要"))};
  std::vector<Table::Align> align{Table::Align::kLeft, Table::Align::kRight};
  for (const Place& place : report.places) {
    header.push_back(fmt::format(fmt::runtime(context.say("{} ({:.1f} GB FREE)", "{}（可用 {:.1f} GB）")), place.name,
                                 static_cast<double>(place.free_bytes) / 1e9));
    align.push_back(Table::Align::kRight);
  }
  Table table(header, align);
  for (const ImageFit& image : report.images) {
    std::vector<std::string> row{image.reference,
                                 fmt::format("{:.1f} GB", static_cast<double>(image.need_bytes) / 1e9)};
    for (const PlaceFit& fit : image.places) row.push_back(fit_text(context, fit));
    table.add(std::move(row));
  }
  fmt::print("\n{}{}\n", table.fitted(stdout_columns()),
             wrapped(fmt::format(fmt::runtime(context.say(
                                     "One answer at a time, with {} tokens of context, by the bandwidth of the memory: "
                                     "an estimate. `dormouse bench` measures. Too large: take a smaller "
                                     "quantisation, or `dormouse plan` for another machine.",
                                     "同时一个回答、上下文 {} 词元，按内存带宽估算；用 `dormouse bench` 实测。"
                                     "放不下时：换更小的量化，或用 `dormouse plan` 看看别的机器。")),
                                 grouped(kFitContext)),
                     kNoteColumns, 0));
}

void print_text(const Context& context, const Report& report) {
  constexpr std::array<std::string_view, 3> kMarks{"✗", "!", "✓"};
  constexpr std::array<Colour, 3> kColours{Colour::kRed, Colour::kYellow, Colour::kGreen};
  const Colours colours = stdout_colours();
  for (const Finding& finding : report.findings) {
    const auto verdict = static_cast<std::size_t>(finding.verdict);
    fmt::print("{} {}\n", painted(kMarks[verdict], kColours[verdict], colours), finding.text);
  }
  print_images(context, report);
}

json::value to_json(const PlaceFit& fit) {
  json::object out{{"fits", fit.verdict == PlaceFit::Verdict::kFits}, {"tokens_per_second", nullptr}};
  if (fit.tokens_per_s.has_value()) out["tokens_per_second"] = *fit.tokens_per_s;
  return out;
}

void print_json(const Report& report) {
  json::array findings;
  for (const Finding& each : report.findings) {
    findings.push_back({{"verdict", to_string(each.verdict)}, {"check", each.check}, {"text", each.text}});
  }
  json::array places;
  for (const Place& each : report.places) places.push_back({{"name", each.name}, {"free_bytes", each.free_bytes}});
  json::array images;
  for (const ImageFit& each : report.images) {
    json::array fits;
    for (const PlaceFit& fit : each.places) fits.push_back(to_json(fit));
    images.push_back({{"image", each.reference}, {"need_bytes", each.need_bytes}, {"places", std::move(fits)}});
  }
  const Machine& machine = report.machine;
  const json::object out{{"machine",
                          {{"cores", machine.cores},
                           {"quota_cores", machine.quota_cores},
                           {"instructions", machine.isa_words()},
                           {"ram_bytes", machine.ram_bytes},
                           {"available_bytes", machine.available_bytes},
                           {"load", machine.load},
                           {"busy", is_busy(machine.load, machine.online_cores)},
                           {"read_bytes_per_second", report.read_bytes_per_s}}},
                         {"findings", std::move(findings)},
                         {"places", std::move(places)},
                         {"images", std::move(images)}};
  fmt::print("{}\n", json::serialize(out));
}

void doctor(Context& context, const std::string& format) {
  const Report report = examine(context);
  if (format == "json") {
    print_json(report);
  } else {
    print_text(context, report);
  }
  const bool is_wrong = !report.findings.empty() && report.findings.front().verdict == Verdict::kWrong;
  if (is_wrong) context.exit_code = kExitFailed;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  auto format = std::make_shared<std::string>("text");
  CLI::App* verb =
      app.add_subcommand("doctor", std::string(context.say("what this machine can do, what is wrong, what to do",
                                                           "检查本机能力与问题，并给出办法")));
  verb->add_option("--format", *format, "text, json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  verb->footer(
      std::string(context.say("Exit code 1 when something is wrong (✗).\n"
                              "Examples:\n  dormouse doctor\n  dormouse doctor --format json",
                              "有 ✗ 时退出码为 1。\n示例：\n  dormouse doctor\n  dormouse doctor --format json")));
  verb->callback([&context, format] { doctor(context, *format); });
}

}  // namespace dormouse::cli
