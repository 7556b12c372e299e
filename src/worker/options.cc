#include "worker/options.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

#include "engine/kv_cache.h"
#include "engine/placement.h"
#include "worker/number_switch.h"

namespace dormouse::worker {
namespace {

constexpr std::int64_t kMaxSequences = 256;  // architecture: batches to 256
// A first batch holds the golden rows and a request.
constexpr std::int64_t kMinBatchTokens = 64;
constexpr std::int64_t kMaxBatchTokens = 8192;

struct NumberSwitch {
  std::string_view flag;
  std::int64_t min;
  std::int64_t max;
  void (*set)(ServeOptions&, std::int64_t);
};
constexpr std::int64_t kHuge = std::int64_t{1} << 46;
constexpr std::array kNumbers = {
    NumberSwitch{"--max-model-len", 2, 1 << 24, [](ServeOptions& o, std::int64_t v) { o.load.max_model_len = v; }},
    NumberSwitch{"--max-num-seqs", 1, kMaxSequences,
                 [](ServeOptions& o, std::int64_t v) { o.load.max_sequences = static_cast<std::int32_t>(v); }},
    NumberSwitch{"--max-num-batched-tokens", kMinBatchTokens, kMaxBatchTokens,
                 [](ServeOptions& o, std::int64_t v) { o.load.max_batch_tokens = static_cast<std::int32_t>(v); }},
    NumberSwitch{"--kv-cache-memory", 1, kHuge, [](ServeOptions& o, std::int64_t v) { o.load.kv_cache_bytes = v; }},
    NumberSwitch{"--threads", 1, 1024,
                 [](ServeOptions& o, std::int64_t v) { o.load.threads = static_cast<std::int32_t>(v); }},
    NumberSwitch{"--max-queue", 1, 1'000'000, [](ServeOptions& o, std::int64_t v) { o.generator.max_waiting = v; }},
    NumberSwitch{"--prefill-budget-ms", 1, 60'000,
                 [](ServeOptions& o, std::int64_t v) { o.generator.prefill_budget = std::chrono::milliseconds(v); }},
    NumberSwitch{"--prefix-cache-memory", 0, kHuge,
                 [](ServeOptions& o, std::int64_t v) { o.generator.prefix_cache_bytes = v; }},
};

struct TextSwitch {
  std::string_view flag;
  void (*set)(ServeOptions&, std::string);
};
constexpr std::array kTexts = {
    TextSwitch{"--model", [](ServeOptions& o, std::string v) { o.load.path = std::move(v); }},
    TextSwitch{"--served-model-name", [](ServeOptions& o, std::string v) { o.served_model_name = std::move(v); }},
    TextSwitch{"--isa", [](ServeOptions& o, std::string v) { o.load.isa = std::move(v); }},
    TextSwitch{"--packed-dir", [](ServeOptions& o, std::string v) { o.load.packed_directory = std::move(v); }},
    TextSwitch{"--golden-dir", [](ServeOptions& o, std::string v) { o.load.golden_directory = std::move(v); }},
};

Result<sched::Speculation> to_speculation(std::string_view text) {
  if (text == "auto") return sched::Speculation::kAuto;
  if (text == "ngram") return sched::Speculation::kNgram;
  if (text == "off") return sched::Speculation::kOff;
  return make_error(Code::kInvalidArgument, fmt::format("--speculate: auto, ngram or off is wanted, got '{}'", text));
}

Result<api::Pooling> to_pooling(std::string_view text) {
  if (text == "mean") return api::Pooling::kMean;
  if (text == "last") return api::Pooling::kLast;
  return make_error(Code::kInvalidArgument, fmt::format("--pooling: mean or last is wanted, got '{}'", text));
}

Status apply_switch(ServeOptions& options, std::string_view flag, std::string_view value) {
  for (const NumberSwitch& number : kNumbers) {
    if (number.flag != flag) continue;
    TRY(const std::int64_t parsed, number_switch(flag, value, number.min, number.max));
    number.set(options, parsed);
    return {};
  }
  for (const TextSwitch& text : kTexts) {
    if (text.flag != flag) continue;
    text.set(options, std::string(value));
    return {};
  }
  TRY(const bool is_gateways, apply_gateway_switch(options.gateway, flag, value));
  if (is_gateways) return {};
  if (flag == "--listen") {
    TRY(options.listen, http::Address::parse(value));
    return {};
  }
  if (flag == "--kv-type") {
    TRY(options.load.kv_type, engine::parse_kv_type(value));
    return {};
  }
  if (flag == "--device") {
    TRY_STATUS(engine::parse_device(value));
    options.load.device = value;
    return {};
  }
  if (flag == "--device-sampling") {
    TRY(options.load.device_sampling, engine::parse_device_sampling(value));
    return {};
  }
  if (flag == "--device-paths") {
    TRY(options.load.device_paths, engine::parse_device_paths(value));
    return {};
  }
  if (flag == "--pooling") {
    TRY(options.load.pooling, to_pooling(value));
    return {};
  }
  if (flag == "--speculate") {
    TRY(options.generator.speculation, to_speculation(value));
    return {};
  }
  return make_error(Code::kInvalidArgument, fmt::format("{}: no such switch (see --help)", flag));
}

}  // namespace

Result<ServeOptions> parse_serve_options(std::span<char* const> arguments) {
  ServeOptions out;
  out.listen = {.kind = http::Address::Kind::kTcp, .path = {}, .host = "127.0.0.1", .port = 8000};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view flag = arguments[i];
    if (flag == "--help" || flag == "-h") {
      out.show_help = true;
      return out;
    }
    // Chunked prefill is how this scheduler works; vLLM's switch for it is taken and means nothing.
    if (flag == "--enable-chunked-prefill" || flag == "--no-enable-chunked-prefill") continue;
    if (flag == "--enable-prefix-caching" || flag == "--no-enable-prefix-caching") {
      out.generator.share_prefixes = flag == "--enable-prefix-caching";
      continue;
    }
    std::string_view value;
    if (const std::size_t equals = flag.find('='); equals != std::string_view::npos) {
      value = flag.substr(equals + 1);
      flag = flag.substr(0, equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return make_error(Code::kInvalidArgument, fmt::format("{}: a value is missing", flag));
    }
    TRY_STATUS(apply_switch(out, flag, value));
  }
  if (out.load.path.empty()) return make_error(Code::kInvalidArgument, "--model: a GGUF file is needed");
  return out;
}

const char* serve_usage() {
  static const std::string text = R"(dormouse-worker serve --model FILE.gguf [switches]

An OpenAI-compatible server for one Qwen3 model: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models,
/tokenize, /detokenize, /health, /metrics.

  --model FILE                  the weights, GGUF
  --listen ADDRESS              unix:PATH or HOST:PORT (127.0.0.1:8000)
  --served-model-name NAME      the name clients use (the file's)
  --max-model-len N             tokens of prompt and answer (the model's own; on a GPU 4,096)
  --max-num-seqs N              sequences computed at once (256)
  --max-num-batched-tokens N    tokens of one step (512)
  --prefill-budget-ms MS        how long a step with prompts in it may hold up running streams (250)
  --max-queue N                 sequences that may wait (1024)
  --kv-cache-memory BYTES       keys and values (four contexts, at most a quarter of the memory; on a GPU 32 contexts,
                                at most what is free beside the model)
  --kv-type fp16|q8             how they are kept; q8 takes 53 % of the memory, and of the time to read it (fp16)
  --prefix-cache-memory BYTES   of these, kept of prompts that nobody uses any more (all, until they are needed)
  --no-enable-prefix-caching    compute every prompt anew
  --speculate auto|ngram|off    guess tokens from what came before; the text is the same (auto: where it pays)
  --pooling mean|last           how embeddings are made of a text's states (the file's; last for models called
                                ...embedding, else mean)
  --threads N                   threads (what this process may use)
  --isa NAME                    scalar, avx2, ... (the best this CPU has)
  --device cpu|cuda:N|auto      where to compute; auto: a GPU if there is one and the model fits it (cpu)
  --device-sampling MODE        auto, on, off: on a GPU, find there the tokens to sample from; the text is the same
                                (auto: on cards where that was tested)
  --device-paths LIST           auto, all, none, or some of one-row,shared-prefixes,whole-step,wide-products,
                                small-stacks: younger ways to use a GPU; the text is the same (auto: those tested on
                                such a card)
  --packed-dir DIR              where weights are kept as this engine wants them (beside the model)
  --golden-dir DIR              where the records of known good outputs are kept
  --enable-chunked-prefill      accepted; it always is
)" + std::string(gateway_usage());
  return text.c_str();
}

}  // namespace dormouse::worker
