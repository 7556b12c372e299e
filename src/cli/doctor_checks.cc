#include "cli/doctor_checks.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <netinet/in.h>
#include <array>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/unique_fd.h"
#include "catalog/catalog.h"
#include "catalog/config_file.h"
#include "cli/admin_client.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

namespace fs = std::filesystem;

// A 4B model in Q4_K_M with a modest KV cache; less, and only small models fit.
constexpr double kComfortableRamBytes = 4e9;
constexpr double kComfortableDiskBytes = 1e9;
constexpr unsigned short kDefaultPort = 8080;

Finding check_isa(const Context& context, const Machine& machine) {
  if (!machine.avx2) {
    return {Verdict::kWarning, "cpu",
            std::string(context.say("CPU without AVX2: answers will be slow; workers may run on another machine "
                                    "(docs/drivers.md)",
                                    "CPU 不支持 AVX2：生成会很慢；工作进程可以放在其他机器上（docs/drivers.md）"))};
  }
  return {Verdict::kGood, "cpu", fmt::format("CPU {}", machine.isa_words())};
}

Finding check_cores(const Context& context, const Machine& machine) {
  const std::string cores = fmt::format(fmt::runtime(context.say("{} cores", "{} 核")), machine.cores);
  if (machine.quota_cores > 0 && machine.quota_cores < machine.cores) {
    return {
        Verdict::kWarning, "cores",
        fmt::format(fmt::runtime(context.say("{}, but the container may use {:.1f} of them: raise its CPU limit if it "
                                             "feels slow",
                                             "{}，但容器只能使用 {:.1f} 核：如果慢，请提高 CPU 限额")),
                    cores, machine.quota_cores)};
  }
  return {Verdict::kGood, "cores", cores};
}

Finding check_memory(const Context& context, const Machine& machine) {
  const auto available = static_cast<double>(machine.available_bytes);
  const std::string text =
      fmt::format(fmt::runtime(context.say("{:.1f} GB RAM free of {:.1f}", "内存可用 {:.1f} GB，共 {:.1f} GB")),
                  available / 1e9, static_cast<double>(machine.ram_bytes) / 1e9);
  if (available >= kComfortableRamBytes) return {Verdict::kGood, "memory", text};
  return {Verdict::kWarning, "memory",
          text + std::string(context.say(": too little for a 4B model, enough for small ones",
                                         "：不够运行 4B 模型，可运行小模型"))};
}

Finding check_data_dir(const Context& context) {
  fs::path existing = context.data_dir;
  std::error_code ec;
  while (!fs::exists(existing, ec) && existing.has_parent_path() && existing != existing.parent_path()) {
    existing = existing.parent_path();
  }
  if (::access(existing.c_str(), W_OK | X_OK) != 0) {
    return {Verdict::kWrong, "data_dir",
            fmt::format(fmt::runtime(context.say("data directory {} is not writable: choose another with "
                                                 "--data-dir",
                                                 "数据目录 {} 不可写：用 --data-dir 指定另一个")),
                        context.data_dir)};
  }
  struct statvfs disk {};
  ::statvfs(existing.c_str(), &disk);
  const double free_bytes = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  std::string text =
      fmt::format(fmt::runtime(context.say("data directory {}, {:.1f} GB free", "数据目录 {}，可用 {:.1f} GB")),
                  context.data_dir, free_bytes / 1e9);
  if (free_bytes >= kComfortableDiskBytes) return {Verdict::kGood, "data_dir", std::move(text)};
  text += context.say(": make room, or choose another disk with --data-dir", "：请清理空间，或用 --data-dir 换一块盘");
  return {Verdict::kWarning, "data_dir", std::move(text)};
}

std::string worker_path(const Context& context) {
  return context.program_dir + "/dormouse-worker";
}

Finding check_worker(const Context& context) {
  const std::string path = worker_path(context);
  if (::access(path.c_str(), X_OK) == 0) {
    return {Verdict::kGood, "worker",
            fmt::format(fmt::runtime(context.say("worker program {}", "工作进程程序 {}")), path)};
  }
  return {Verdict::kWrong, "worker",
          fmt::format(fmt::runtime(context.say("no worker program at {}: build it, or put it beside dormouse",
                                               "找不到工作进程程序 {}：请编译它，或把它放在 dormouse 旁边")),
                      path)};
}

Finding describe_gpu(const Context& context, const WorkerGpus& worker, std::size_t index) {
  const WorkerGpu& gpu = worker.gpus[index];
  const std::string what =
      fmt::format(fmt::runtime(context.say("GPU cuda:{} {}, compute capability {}, {:.1f} GB, driver for CUDA {}: ",
                                           "GPU cuda:{} {}，计算能力 {}，显存 {:.1f} GB，驱动支持 CUDA {}：")),
                  index, gpu.name, gpu.compute, static_cast<double>(gpu.memory_bytes) / 1e9, worker.driver);
  if (!gpu.has_kernels) {
    return {Verdict::kWarning, "gpu",
            what + fmt::format(fmt::runtime(context.say("the worker holds no kernels for it (it has: {}); docs/cuda.md "
                                                        "says how to build one that does",
                                                        "工作进程没有适用的内核（现有：{}）；编译方法见 docs/cuda.md")),
                               worker.kernels_for)};
  }
  std::string text = what +
                     std::string(context.say("off unless worker_arguments say --device cuda:",
                                             "默认不用；在 worker_arguments 中写 --device cuda:")) +
                     std::to_string(index);
  if (!gpu.is_tested) {
    text += context.say(" (untested: our kernels never ran on such a card)",
                        "（未经测试：我们的内核没有在这种卡上运行过）");
  } else {
    if (!gpu.is_sampling_tested) {
      text += context.say(" (sampling on it is off: untested on such a card; --device-sampling on turns it on)",
                          "（卡上采样未启用：尚未在这种卡上测试过；可用 --device-sampling on 打开）");
    }
    if (!gpu.untested_paths.empty()) {
      text += fmt::format(fmt::runtime(context.say(" (off, untested on such a card; --device-paths turns them on: {})",
                                                   "（未启用，尚未在这种卡上测试过；可用 --device-paths 打开：{}）")),
                          gpu.untested_paths);
    }
  }
  return {Verdict::kGood, "gpu", std::move(text)};
}

// Nothing of it is needed: the CPU is what models run on.
std::vector<Finding> check_gpus(const Context& context, const Result<WorkerGpus>& worker) {
  if (!worker.has_value() && worker.error().code == Code::kNotFound) return {};  // check_worker says so
  if (!worker.has_value()) return {{Verdict::kWarning, "gpu", worker.error().message}};
  if (worker->gpus.empty()) {
    return {{Verdict::kGood, "gpu",
             std::string(context.say("no GPU, models run on the CPU: ", "没有 GPU，模型在 CPU 上运行：")) +
                 worker->problem}};
  }
  std::vector<Finding> out;
  for (std::size_t i = 0; i < worker->gpus.size(); ++i) out.push_back(describe_gpu(context, *worker, i));
  return out;
}

Finding check_demo(const Context& context) {
  const Result<catalog::Catalog> gallery = catalog::Catalog::built_in();
  if (!gallery.has_value()) return {Verdict::kWrong, "demo", gallery.error().message};
  const Result<catalog::ResolvedImage> demo =
      gallery->resolve("qwen3-demo", catalog::model_directories("", context.data_dir, context.program_dir));
  if (demo.has_value()) {
    return {Verdict::kGood, "demo", fmt::format(fmt::runtime(context.say("demo model {}", "示例模型 {}")), demo->path)};
  }
  return {Verdict::kWarning, "demo", demo.error().message};
}

// Free, ours, or taken by a stranger.
Finding check_port(const Context& context, bool server_runs) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kDefaultPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr generic{};
  std::memcpy(&generic, &address, sizeof generic);
  if (fd.is_open() && ::bind(fd.get(), &generic, sizeof generic) == 0) {
    return {Verdict::kGood, "port",
            fmt::format(fmt::runtime(context.say("port {} is free", "端口 {} 空闲")), kDefaultPort)};
  }
  if (server_runs) {
    return {Verdict::kGood, "port",
            fmt::format(
                fmt::runtime(context.say("port {} is taken, a dormouse is running", "端口 {} 已占用，睡鼠正在运行")),
                kDefaultPort)};
  }
  return {Verdict::kWarning, "port",
          fmt::format(
              fmt::runtime(context.say("port {} is taken: `ss -ltnp` shows by whom; or serve --listen 127.0.0.1:8081",
                                       "端口 {} 已被占用：用 `ss -ltnp` 查看；或 serve --listen 127.0.0.1:8081")),
              kDefaultPort)};
}

// Workers that no server of this data directory owns. The server itself ends them at its next start.
Finding check_leftovers(const Context& context, bool server_runs) {
  int leases = 0;
  std::error_code ec;
  const fs::path run = fs::path(context.admin_socket()).parent_path();
  for (const auto& entry : fs::directory_iterator(run, ec)) {
    if (entry.path().filename().string().starts_with("w-")) ++leases;
  }
  if (server_runs || leases == 0) {
    return {Verdict::kGood, "leftovers", std::string(context.say("no left-over workers", "没有遗留的工作进程"))};
  }
  return {Verdict::kWarning, "leftovers",
          fmt::format(fmt::runtime(
                          context.say("{} traces of workers of a server that is gone, in {}: the next `dormouse serve` "
                                      "cleans up",
                                      "{} 个已退出服务的工作进程痕迹在 {}：下次 `dormouse serve` 会清理")),
                      leases, run.string())};
}

// A running server says what it thinks of its file; without one the default file is read here.
std::vector<Finding> check_config(const Context& context, AdminClient& client) {
  const Result<std::string> body = client.get("/admin/v1/status");
  const Result<gateway::StatusView> status = body.has_value() ? gateway::parse_status(*body) : Error(body.error());
  std::vector<Finding> out;
  if (status.has_value()) {
    for (const std::string& notice : status->notices) out.push_back({Verdict::kWarning, "config", notice});
    return out;
  }
  const std::string path = context.data_dir + "/dormouse.toml";
  const Result<catalog::ConfigFile> config = catalog::read_config(path);
  if (config.has_value()) {
    out.push_back(
        {Verdict::kGood, "config", fmt::format(fmt::runtime(context.say("configuration {}", "配置文件 {}")), path)});
  } else if (config.error().code != Code::kNotFound) {
    out.push_back({Verdict::kWrong, "config", config.error().message});
  }
  return out;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kWrong: return "wrong";
    case Verdict::kWarning: return "warning";
    case Verdict::kGood: return "good";
  }
  return "";
}

Result<WorkerGpus> find_gpus(const Context& context) {
  return ask_worker(worker_path(context), context.worker_environment);
}

std::vector<Finding> check_all(const Context& context, const Machine& machine, const Result<WorkerGpus>& gpus) {
  AdminClient client(context.admin_socket());
  const bool server_runs = client.get("/livez").has_value();
  std::vector<Finding> out{check_worker(context),
                           check_data_dir(context),
                           check_demo(context),
                           check_isa(context, machine),
                           check_cores(context, machine),
                           check_memory(context, machine),
                           check_port(context, server_runs),
                           check_leftovers(context, server_runs)};
  for (const std::vector<Finding>& more : {check_gpus(context, gpus), check_config(context, client)}) {
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

}  // namespace dormouse::cli
