// dormouse-worker: one model in one process. Flags and wiring only.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "worker/adopt/adopter.h"
#include "worker/adopt/options.h"
#include "worker/model.h"
#include "worker/options.h"
#include "worker/tools/tools.h"
#include "worker/worker.h"

namespace {

namespace worker = dormouse::worker;

constexpr const char* kUsage = R"(dormouse-worker COMMAND ...

  serve      run one model behind an OpenAI-compatible server
  adopt      run somebody else's server (llama-server, vLLM, Ollama, any) as a child and stand in front of it
  pack       lay a model's weights out as this engine reads them (serve does it at its first start)
  convert    make a model file of a Hugging Face folder (safetensors)
  quantize   make a smaller model file of a larger one
  synth      make a model file of random weights, to measure with
  bench      measure the engine on a model: prefill, decode, share of the memory's bandwidth
  perplexity measure how well a model predicts a text, and how far it lies from a reference
  replay     measure what speculation does for the speed of a given answer to a given prompt
  doctor     say which GPUs there are and whether this program can use them

Each command explains itself with --help.
)";

constexpr const char* kLeaseVariable = "DORMOUSE_LEASE";

// Taken out of the environment, so that neither /proc/PID/environ nor a child shows it.
std::string take_lease() {
  char* const found = std::getenv(kLeaseVariable);
  if (found == nullptr) return {};
  std::string lease(found);
  for (char* c = found; *c != '\0'; ++c) *c = '\0';
  ::unsetenv(kLeaseVariable);
  return lease;
}

int serve(std::span<char* const> arguments) {
  dormouse::Result<worker::ServeOptions> options = worker::parse_serve_options(arguments);
  if (!options.has_value()) {
    std::fprintf(stderr, "dormouse-worker serve: %s\n", options.error().message.c_str());
    return 2;
  }
  if (options->show_help) {
    std::fputs(worker::serve_usage(), stdout);
    return 0;
  }
  if (std::string lease = take_lease(); options->gateway.lease.empty()) options->gateway.lease = std::move(lease);
  if (const char* fault = std::getenv("DORMOUSE_FAULT"); fault != nullptr) {
    options->generator.spoil_golden = std::string_view(fault) == "golden_mismatch";
  }
  const worker::LoadOptions load = options->load;
  worker::ModelLoader loader = [load](const worker::LoadProgress& progress) { return load_model(load, progress); };
  return run_worker(*std::move(options), std::move(loader));
}

int adopt(std::span<char* const> arguments) {
  dormouse::Result<worker::adopt::AdoptOptions> options = worker::adopt::parse_adopt_options(arguments);
  if (!options.has_value()) {
    std::fprintf(stderr, "dormouse-worker adopt: %s\n", options.error().message.c_str());
    return 2;
  }
  if (options->show_help) {
    std::fputs(worker::adopt::adopt_usage(), stdout);
    return 0;
  }
  if (std::string lease = take_lease(); options->gateway.lease.empty()) options->gateway.lease = std::move(lease);
  return worker::adopt::run_adopter(*std::move(options), environ);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "serve") return serve({argv + 2, argv + argc});
  if (command == "adopt") return adopt({argv + 2, argv + argc});
  if (command == "pack") return dormouse::worker::run_pack(argc - 1, argv + 1);
  if (command == "convert") return dormouse::worker::run_convert(argc - 1, argv + 1);
  if (command == "quantize") return dormouse::worker::run_quantize(argc - 1, argv + 1);
  if (command == "bench") return dormouse::worker::run_bench(argc - 1, argv + 1);
  if (command == "perplexity") return dormouse::worker::run_perplexity(argc - 1, argv + 1);
  if (command == "replay") return dormouse::worker::run_replay(argc - 1, argv + 1);
  if (command == "doctor") return dormouse::worker::run_doctor(argc - 1, argv + 1);
  if (command == "synth") return dormouse::worker::run_synth(argc - 1, argv + 1);
  const bool asked = command == "--help" || command == "-h" || command == "help";
  std::fputs(kUsage, asked ? stdout : stderr);
  return asked ? 0 : 2;
}
