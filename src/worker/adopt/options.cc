#include "worker/adopt/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "http/asio.h"
#include "worker/number_switch.h"

namespace dormouse::worker::adopt {
namespace {

constexpr std::int64_t kMaxContext = 1 << 24;
constexpr std::int64_t kMaxSequences = 1024;

Error usage_error(std::string message) {
  return make_error(Code::kInvalidArgument, std::move(message));
}

// 500ms, 90s, 10m, 2h.
Result<std::chrono::milliseconds> to_duration(std::string_view flag, std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t ms;
  };
  constexpr std::array kUnits = {Unit{"ms", 1}, Unit{"s", 1'000}, Unit{"m", 60'000}, Unit{"h", 3'600'000}};
  constexpr std::int64_t kDay_ms = 86'400'000;
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : kUnits) {
    if (ec == std::errc{} && rest == unit.name && value > 0 && value <= kDay_ms / unit.ms) {
      return std::chrono::milliseconds(value * unit.ms);
    }
  }
  return usage_error(fmt::format("{}: a time up to a day such as 90s, 10m or 2h is wanted, got '{}'", flag, text));
}

Status set_environment(AdoptOptions& options, std::string_view value) {
  const std::size_t equals = value.find('=');
  if (equals == 0 || equals == std::string_view::npos) {
    return usage_error(fmt::format("--env: NAME=VALUE is wanted, got '{}'", value));
  }
  options.environment.emplace_back(value);
  return {};
}

Status set_upstream(AdoptOptions& options, std::string_view value) {
  options.pick_port = value == "auto";
  if (options.pick_port) return {};
  Result<http::Address> address = http::Address::parse(value);
  if (!address.has_value()) return usage_error("--upstream: auto, or " + address.error().message);
  if (address->kind == http::Address::Kind::kTcp && address->port == 0) {
    return usage_error("--upstream: a port the child will listen on is wanted, or auto");
  }
  options.upstream = *std::move(address);
  return {};
}

Status set_path(std::string& path, std::string_view flag, std::string_view value) {
  const bool is_path =
      value.starts_with('/') && std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 127; });
  if (!is_path) return usage_error(fmt::format("{}: a path such as /health is wanted, got '{}'", flag, value));
  path = std::string(value);
  return {};
}

struct TextSwitch {
  std::string_view flag;
  std::string AdoptOptions::*field;
};
constexpr std::array kTexts = {
    TextSwitch{"--model", &AdoptOptions::model},
    TextSwitch{"--served-model-name", &AdoptOptions::served_model_name},
    TextSwitch{"--upstream-model", &AdoptOptions::upstream_model},
};

// A tag other than latest, or a digest.
bool is_pinned(std::string_view image) {
  if (const std::size_t at = image.find("@sha256:"); at != std::string_view::npos) {
    const std::string_view digest = image.substr(at + std::string_view("@sha256:").size());
    return digest.size() == 64 && digest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  }
  const std::string_view last = image.substr(image.find_last_of('/') + 1);
  const std::size_t colon = last.find(':');
  return colon != std::string_view::npos && colon + 1 < last.size() && last.substr(colon + 1) != "latest";
}

Status set_image(AdoptOptions& options, std::string_view value) {
  const bool is_word = std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 127; });
  if (!is_word || value.starts_with('-') || !is_pinned(value)) {
    return usage_error(fmt::format(
        "--container: an image with a digest (NAME@sha256:64 hex digits) or a tag other than latest is wanted, since "
        "one that moves would change answers overnight; got '{}'",
        value));
  }
  options.container.image = std::string(value);
  return {};
}

// false: not one of these.
Result<bool> apply_container_switch(AdoptOptions& options, std::string_view flag, std::string_view value) {
  if (flag == "--container") {
    TRY_STATUS(set_image(options, value));
    return true;
  }
  if (flag == "--container-engine") {
    options.container.engine = std::string(value);
    return true;
  }
  if (flag == "--container-option") {
    options.container.options.emplace_back(value);
    return true;
  }
  if (flag == "--pull-deadline") {
    TRY(options.container.pull_deadline, to_duration(flag, value));
    return true;
  }
  return false;
}

Status apply_switch(AdoptOptions& options, std::string_view flag, std::string_view value) {
  for (const TextSwitch& text : kTexts) {
    if (text.flag != flag) continue;
    options.*text.field = std::string(value);
    return {};
  }
  TRY(const bool is_gateways, apply_gateway_switch(options.gateway, flag, value));
  if (is_gateways) return {};
  TRY(const bool is_containers, apply_container_switch(options, flag, value));
  if (is_containers) return {};
  if (flag == "--listen") {
    TRY(options.listen, http::Address::parse(value));
    return {};
  }
  if (flag == "--max-model-len") {
    TRY(options.context_length, number_switch(flag, value, 2, kMaxContext));
    return {};
  }
  if (flag == "--max-num-seqs") {
    TRY(options.max_sequences, number_switch(flag, value, 1, kMaxSequences));
    return {};
  }
  if (flag == "--ready-deadline") {
    TRY(options.ready_deadline, to_duration(flag, value));
    return {};
  }
  if (flag == "--upstream") return set_upstream(options, value);
  if (flag == "--ready-path") return set_path(options.ready_path, flag, value);
  if (flag == "--upstream-path") {
    TRY_STATUS(set_path(options.upstream_path, flag, value));
    while (options.upstream_path.ends_with('/')) options.upstream_path.pop_back();
    return {};
  }
  if (flag == "--env") return set_environment(options, value);
  return usage_error(fmt::format("{}: no such switch (see --help)", flag));
}

// --- placeholders

struct Placeholder {
  std::string_view name;
  // Empty: it has no value here, for the reason in `missing`.
  std::optional<std::string> value;
  std::string_view missing;
};

std::optional<std::string> number_or_none(std::int64_t value) {
  return value > 0 ? std::optional(std::to_string(value)) : std::nullopt;
}

std::vector<Placeholder> placeholders(const AdoptOptions& options) {
  const http::Address& at = options.upstream;
  const bool is_tcp = at.kind == http::Address::Kind::kTcp;
  const std::optional<std::string> model = options.model.empty() ? std::nullopt : std::optional(options.model);
  return {
      {"port", is_tcp ? std::optional(std::to_string(at.port)) : std::nullopt, "--upstream unix:PATH has no port"},
      {"host", is_tcp ? at.host : at.path, ""},
      {"model", model, "--model is needed"},
      {"context", number_or_none(options.context_length), "--max-model-len is needed"},
      {"total_context", number_or_none(options.context_length * options.max_sequences), "--max-model-len is needed"},
      {"slots", std::to_string(options.max_sequences), ""},
      {"name", served_name(options), ""},
  };
}

// The name of the placeholder that `text` starts with, "" for none: {name}, of small letters and _ only.
std::string_view placeholder_name(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() && ((text[end] >= 'a' && text[end] <= 'z') || text[end] == '_')) ++end;
  return end > 1 && end < text.size() && text[end] == '}' ? text.substr(1, end - 1) : std::string_view();
}

Result<std::string> expand(std::string_view text, const std::vector<Placeholder>& known) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    const std::string_view name = rest.starts_with('{') ? placeholder_name(rest) : std::string_view();
    if (name.empty()) {
      out += text[i];
      continue;
    }
    const auto is_it = [name](const Placeholder& p) { return p.name == name; };
    const auto found = std::find_if(known.begin(), known.end(), is_it);
    if (found == known.end()) {
      return usage_error(
          fmt::format("{{{}}}: no such placeholder; known are {{port}}, {{host}}, {{model}}, {{context}}, "
                      "{{total_context}}, {{slots}}, {{name}}",
                      name));
    }
    if (!found->value.has_value()) return usage_error(fmt::format("{{{}}}: {}", name, found->missing));
    out += *found->value;
    i += name.size() + 1;
  }
  return out;
}

Status check_container(const AdoptOptions& options) {
  if (options.container.image.empty()) {
    const bool is_meant = !options.container.engine.empty() || !options.container.options.empty();
    if (is_meant) return usage_error("--container-engine, --container-option: --container IMAGE is missing");
    return {};
  }
  const bool is_loopback = options.upstream.kind == http::Address::Kind::kTcp && options.upstream.host == "127.0.0.1";
  if (!options.pick_port && !is_loopback) {
    return usage_error("--upstream: a container's port is published on 127.0.0.1 only, got '" +
                       options.upstream.to_string() + "'");
  }
  return {};
}

Status check_template(const AdoptOptions& options) {
  const auto has_port = [](const std::string& text) { return text.find("{port}") != std::string::npos; };
  const bool told = std::any_of(options.command.begin(), options.command.end(), has_port) ||
                    std::any_of(options.environment.begin(), options.environment.end(), has_port);
  if (options.pick_port && !told) {
    return usage_error(
        "--upstream auto: the command does not say {port}, so the child would not know where to listen; put {port} "
        "where "
        "its port belongs, or say --upstream HOST:PORT");
  }
  AdoptOptions probe = options;
  if (options.pick_port)
    probe.upstream = {.kind = http::Address::Kind::kTcp, .path = {}, .host = "127.0.0.1", .port = 1};
  const Result<ChildCommand> expanded = expand_command(probe);
  if (!expanded.has_value()) return expanded.error();
  return {};
}

}  // namespace

std::string served_name(const AdoptOptions& options) {
  if (!options.served_model_name.empty()) return options.served_model_name;
  std::string name = options.model.substr(options.model.find_last_of('/') + 1);
  if (name.ends_with(".gguf")) name.resize(name.size() - std::string_view(".gguf").size());
  return name.empty() ? "default" : name;
}

Result<http::Address> free_loopback_address() {
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor(io);
  boost::system::error_code ec;
  acceptor.open(asio::ip::tcp::v4(), ec);
  if (!ec) acceptor.bind({asio::ip::address_v4::loopback(), 0}, ec);
  const asio::ip::tcp::endpoint bound = ec ? asio::ip::tcp::endpoint() : acceptor.local_endpoint(ec);
  if (ec) return make_error(Code::kUnavailable, "no free port of 127.0.0.1: " + ec.message());
  return http::Address{.kind = http::Address::Kind::kTcp, .path = {}, .host = "127.0.0.1", .port = bound.port()};
}

Result<ChildCommand> expand_command(const AdoptOptions& options) {
  const std::vector<Placeholder> known = placeholders(options);
  ChildCommand out;
  for (const std::string& word : options.command) {
    TRY(std::string expanded, expand(word, known));
    out.argv.push_back(std::move(expanded));
  }
  for (const std::string& entry : options.environment) {
    TRY(std::string expanded, expand(entry, known));
    out.environment.push_back(std::move(expanded));
  }
  return out;
}

Result<AdoptOptions> parse_adopt_options(std::span<char* const> arguments) {
  AdoptOptions out;
  out.listen = {.kind = http::Address::Kind::kTcp, .path = {}, .host = "127.0.0.1", .port = 8000};
  std::size_t i = 0;
  for (; i < arguments.size() && std::string_view(arguments[i]) != "--"; ++i) {
    std::string_view flag = arguments[i];
    if (flag == "--help" || flag == "-h") {
      out.show_help = true;
      return out;
    }
    std::string_view value;
    if (const std::size_t equals = flag.find('='); flag.starts_with("--") && equals != std::string_view::npos) {
      value = flag.substr(equals + 1);
      flag = flag.substr(0, equals);
    } else if (!flag.starts_with("--")) {
      return usage_error(fmt::format("'{}': a switch is wanted; the command to run comes behind --", flag));
    } else if (i + 1 < arguments.size() && std::string_view(arguments[i + 1]) != "--") {
      value = arguments[++i];
    } else {
      return usage_error(fmt::format("{}: a value is missing", flag));
    }
    TRY_STATUS(apply_switch(out, flag, value));
  }
  for (++i; i < arguments.size(); ++i) out.command.emplace_back(arguments[i]);
  TRY_STATUS(check_container(out));
  if (out.container.image.empty() && (out.command.empty() || out.command.front().empty())) {
    return usage_error("no command: say what to run behind --, such as -- llama-server -m {model} --port {port}");
  }
  TRY_STATUS(check_template(out));
  return out;
}

const char* adopt_usage() {
  static const std::string text = R"(dormouse-worker adopt [switches] -- CMD ARGS...
       dormouse-worker adopt --container IMAGE [switches] -- WORDS BEHIND THE IMAGE...

Runs somebody else's OpenAI-compatible server (llama-server, vLLM, Ollama, any) as a child and stands in front of it: to
clients and to the gateway it is what `dormouse-worker serve` is. CMD ends with this process, and this process with CMD.

  --listen ADDRESS              unix:PATH or HOST:PORT (127.0.0.1:8000)
  --model WHAT                  what {model} stands for: a file, a repository's name
  --served-model-name NAME      the name clients use (the last part of WHAT)
  --max-model-len N             {context}: tokens of prompt and answer
  --max-num-seqs N              {slots}: sequences computed at once (4)
  --upstream auto|ADDRESS       where CMD will listen; auto picks a free port of 127.0.0.1 (auto)
  --upstream-model NAME         what CMD calls the model (the first of its /v1/models)
  --upstream-path PREFIX        what stands before /v1 there, such as /openai (nothing)
  --ready-path PATH             answers 200 when CMD can serve (/health; where there is none, its models)
  --ready-deadline TIME         how long CMD may take to get there (10m)
  --env NAME=VALUE              for CMD; repeatable. Otherwise it sees PATH, HOME, LANG, TZ, TMPDIR, LC_*, OMP_*, CUDA_*
  --container IMAGE             run this image with podman or docker instead of a program: NAME:TAG or NAME@sha256:...
  --container-engine WHICH      podman, docker or a path (the first of the two in PATH)
  --container-option WORD       for `run`, in front of the image, such as --gpus=all; repeatable
  --pull-deadline TIME          how long pulling the image may take when it is not there (1h)
)" + std::string(gateway_usage()) +
                                  R"(
In CMD, ARGS and --env: {port} {host} of --upstream, {model}, {context}, {slots}, {total_context} (context x slots),
{name} (the served name).

Examples
  dormouse-worker adopt --model qwen3-4b-q4_k_m.gguf --max-model-len 8192 --max-num-seqs 4 -- \
      llama-server -m {model} --host {host} --port {port} -c {total_context} -np {slots}
  dormouse-worker adopt --model Qwen/Qwen3-4B --max-model-len 32768 --max-num-seqs 256 -- \
      vllm serve {model} --host {host} --port {port} --max-model-len {context} --enable-chunked-prefill \
      --max-num-seqs {slots}
  dormouse-worker adopt --model qwen3:4b --upstream-model qwen3:4b --ready-path /api/version \
      --env OLLAMA_HOST={host}:{port} -- ollama serve
  dormouse-worker adopt --container docker.io/vllm/vllm-openai:v0.8.5 --container-option --gpus=all \
      --model /models/Qwen3-4B --max-model-len 32768 -- \
      --model {model} --host {host} --port {port} --max-model-len {context} --max-num-seqs {slots}
)";
  return text.c_str();
}

}  // namespace dormouse::worker::adopt
