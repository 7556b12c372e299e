#include "catalog/runtimes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "catalog/runtimes_text.h"
#include "catalog/toml.h"

namespace dormouse::catalog {
namespace {

constexpr std::array<std::string_view, 7> kAdoptPlaceholders = {"port",          "host",  "model", "context",
                                                                "total_context", "slots", "name"};

Error invalid(const Runtime& runtime, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("runtimes: {}: {}", runtime.name, what));
}

std::string lower_ascii(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

bool answers_to(const Runtime& runtime, std::string_view name) {
  const std::string wanted = lower_ascii(name);
  const auto is_it = [&wanted](const std::string& alias) { return lower_ascii(alias) == wanted; };
  return is_it(runtime.name) || std::any_of(runtime.aliases.begin(), runtime.aliases.end(), is_it);
}

std::string replaced(std::string text, std::string_view placeholder, std::string_view value) {
  for (std::size_t at = text.find(placeholder); at != std::string::npos; at = text.find(placeholder, at)) {
    text.replace(at, placeholder.size(), value);
    at += value.size();
  }
  return text;
}

bool mentions(const std::vector<std::string>& words, std::string_view placeholder) {
  return std::any_of(words.begin(), words.end(),
                     [placeholder](const std::string& word) { return word.find(placeholder) != std::string::npos; });
}

// Every {small_letters} of a template is adopt's or `own`.
Status check_words(const Runtime& runtime, const std::vector<std::string>& words, std::string_view own) {
  for (const std::string& word : words) {
    for (std::size_t begin = word.find('{'); begin != std::string::npos; begin = word.find('{', begin + 1)) {
      const std::size_t end = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", begin + 1);
      if (end == std::string::npos || end == begin + 1 || word[end] != '}') continue;
      const std::string_view name = std::string_view(word).substr(begin + 1, end - begin - 1);
      const bool known =
          std::find(kAdoptPlaceholders.begin(), kAdoptPlaceholders.end(), name) != kAdoptPlaceholders.end();
      if (!known && name != own) return invalid(runtime, fmt::format("nobody fills in {{{}}}", name));
    }
  }
  return {};
}

Status check_runtime(const Runtime& runtime) {
  TRY_STATUS(check_words(runtime, runtime.command, ""));
  TRY_STATUS(check_words(runtime, runtime.environment, ""));
  TRY_STATUS(check_words(runtime, runtime.quantization, "quantization"));
  TRY_STATUS(check_words(runtime, runtime.container, ""));
  if (!mentions(runtime.command, "{port}") && !mentions(runtime.environment, "{port}")) {
    return invalid(runtime, "neither command nor environment says {port}: it would not know where to listen");
  }
  if (runtime.container.empty()) return {};
  if (runtime.image.empty()) return invalid(runtime, "a container needs an image");
  if (!mentions(runtime.container, "{port}")) return invalid(runtime, "container does not say {port}");
  // "name:tag" or "name@sha256:..." behind the last slash.
  const std::string_view last = std::string_view(runtime.image).substr(runtime.image.find_last_of('/') + 1);
  if (last.find(':') == std::string_view::npos || last.ends_with(":latest")) {
    return invalid(runtime, fmt::format("image {} is not pinned by a tag or a digest", runtime.image));
  }
  return {};
}

Result<Runtime> read_runtime(const TomlTable& entry) {
  Runtime out;
  out.name = entry.string("name");
  out.command = entry.list("command");
  if (out.name.empty() || out.command.empty()) {
    return make_error(Code::kInvalidArgument, "runtimes: an entry needs name and command");
  }
  out.aliases = entry.list("aliases");
  out.title = entry.string("title");
  out.quantization = entry.list("quantization");
  out.environment = entry.list("environment");
  out.ready_path = entry.string("ready_path");
  out.upstream_path = entry.string("upstream_path");
  out.upstream_model = entry.string("upstream_model");
  out.image = entry.string("image");
  out.container = entry.list("container");
  out.container_options = entry.list("container_options");
  TRY_STATUS(check_runtime(out));
  return out;
}

// The command to run, or the words behind the image; adopt's placeholders still in it.
Result<std::vector<std::string>> command_of(const Runtime& runtime, const RuntimeParameters& parameters) {
  std::vector<std::string> out;
  if (parameters.container_engine.empty()) {
    out = runtime.command;
  } else if (parameters.container_engine != "podman" && parameters.container_engine != "docker") {
    return invalid(runtime,
                   fmt::format("container engine '{}': podman or docker is wanted", parameters.container_engine));
  } else if (runtime.container.empty()) {
    return invalid(runtime, "there is no container for it here; run its program");
  } else {
    out = runtime.container;
  }
  if (!parameters.quantization.empty()) {
    if (runtime.quantization.empty()) {
      return invalid(runtime, fmt::format("takes no quantisation ('{}' is asked for): its weights say what they are",
                                          parameters.quantization));
    }
    for (const std::string& word : runtime.quantization) {
      out.push_back(replaced(word, "{quantization}", parameters.quantization));
    }
  }
  out.insert(out.end(), parameters.arguments.begin(), parameters.arguments.end());
  return out;
}

Status check_needs(const Runtime& runtime, const RuntimeParameters& parameters,
                   const std::vector<std::string>& command) {
  const auto needs = [&](std::string_view placeholder) {
    return mentions(command, placeholder) || mentions(runtime.environment, placeholder);
  };
  if (parameters.model.empty() && (needs("{model}") || !runtime.upstream_model.empty())) {
    return invalid(runtime, "a model is needed");
  }
  if (parameters.context_length <= 0 && (needs("{context}") || needs("{total_context}"))) {
    return invalid(runtime, "a context length is needed");
  }
  return {};
}

}  // namespace

Result<Runtimes> Runtimes::parse(std::string_view toml) {
  TRY(TomlTable root, parse_toml(toml, "runtimes.toml"));
  Runtimes out;
  for (const TomlTable& entry : root.table_lists["runtime"]) {
    TRY(Runtime runtime, read_runtime(entry));
    std::vector<std::string> names = runtime.aliases;
    names.push_back(runtime.name);
    for (const Runtime& other : out.runtimes_) {
      for (const std::string& name : names) {
        if (answers_to(other, name)) return invalid(runtime, fmt::format("'{}' means {} already", name, other.name));
      }
    }
    out.runtimes_.push_back(std::move(runtime));
  }
  return out;
}

Result<Runtimes> Runtimes::built_in() {
  return parse(runtimes_text());
}

Result<Runtime> Runtimes::find(std::string_view name) const {
  std::vector<std::string> known;
  for (const Runtime& runtime : runtimes_) {
    if (answers_to(runtime, name)) return runtime;
    known.push_back(runtime.name);
  }
  return make_error(Code::kNotFound,
                    fmt::format("no runtime is called '{}'; known are {}", name, fmt::join(known, ", ")));
}

Result<std::vector<std::string>> adopt_arguments(const Runtime& runtime, const RuntimeParameters& parameters) {
  TRY(const std::vector<std::string> command, command_of(runtime, parameters));
  TRY_STATUS(check_needs(runtime, parameters, command));
  std::vector<std::string> out;
  const auto add = [&out](std::string flag, std::string value) {
    out.push_back(std::move(flag));
    out.push_back(std::move(value));
  };
  if (!parameters.model.empty()) add("--model", parameters.model);
  if (parameters.context_length > 0) add("--max-model-len", std::to_string(parameters.context_length));
  if (parameters.max_sequences > 0) add("--max-num-seqs", std::to_string(parameters.max_sequences));
  add("--upstream", "auto");
  if (!runtime.upstream_path.empty()) add("--upstream-path", runtime.upstream_path);
  if (!runtime.upstream_model.empty()) {
    add("--upstream-model", replaced(runtime.upstream_model, "{model}", parameters.model));
  }
  if (!runtime.ready_path.empty()) add("--ready-path", runtime.ready_path);
  for (const std::string& entry : runtime.environment) add("--env", entry);
  for (const std::string& entry : parameters.environment) add("--env", entry);
  if (!parameters.container_engine.empty()) {
    add("--container", runtime.image);
    add("--container-engine", parameters.container_engine);
    for (const std::string& word : runtime.container_options) add("--container-option", word);
  }
  out.push_back("--");
  out.insert(out.end(), command.begin(), command.end());
  return out;
}

}  // namespace dormouse::catalog
