#include "fleet/worker_command.h"

#include <cstddef>

namespace dormouse::fleet {

std::string lease_entry(const std::string& lease_token) {
  return std::string(kLeaseVariable) + "=" + lease_token;
}

WorkerCommand worker_command(const StartSpec& spec, const WorkerPlace& place) {
  WorkerCommand out;
  const bool is_ours = spec.adopt_arguments.empty();
  std::vector<std::string>& argv = out.argv;
  argv = {place.worker_path, is_ours ? "serve" : "adopt"};
  const auto add = [&argv](const char* name, const std::string& value) {
    if (!value.empty()) argv.insert(argv.end(), {name, value});
  };
  if (is_ours) add("--model", spec.model_path);
  add("--listen", place.listen);
  add("--control", place.control);
  add("--epoch", std::to_string(spec.epoch));
  add("--served-model-name", spec.deployment);
  add("--control-fingerprint", place.control_fingerprint);
  if (!place.control.starts_with("unix:")) add("--lease-ttl", std::to_string(spec.lease_time_to_live.count()));
  if (is_ours) {
    add("--packed-dir", place.packed_directory);
    add("--golden-dir", place.golden_directory);
  }
  const std::vector<std::string>& more = is_ours ? spec.worker_arguments : spec.adopt_arguments;
  argv.insert(argv.end(), more.begin(), more.end());
  out.environment.push_back(lease_entry(spec.lease_token));
  return out;
}

std::string shell_quoted(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string shell_quoted(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += shell_quoted(word);
  }
  return out;
}

std::string worker_script(const WorkerCommand& command) {
  std::string out = "#!/bin/sh\n";
  for (const std::string& entry : command.environment) {
    const std::size_t equals = entry.find('=');
    out += "export " + entry.substr(0, equals) + "=" + shell_quoted(std::string_view(entry).substr(equals + 1)) + "\n";
  }
  return out + "exec " + shell_quoted(command.argv) + "\n";
}

}  // namespace dormouse::fleet
