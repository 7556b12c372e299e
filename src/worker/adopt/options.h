// The command line of `dormouse-worker adopt [switches] -- CMD ARGS...`, and the command it becomes. No I/O but a look
// for a free port. serve's names where serve has the switch.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "worker/gateway_side.h"

namespace dormouse::worker::adopt {

struct ContainerOptions {
  std::string image;                 // empty: no container, a program
  std::string engine;                // "podman", "docker", a path; empty: the first of them in PATH
  std::vector<std::string> options;  // words for `run`, in front of the image
  std::chrono::milliseconds pull_deadline{3'600'000};
};

struct AdoptOptions {
  http::Address listen;
  std::string model;                // what {model} stands for: a file, a repository's name
  std::string served_model_name;    // empty: of `model`, what is behind the last slash, without .gguf
  std::int64_t context_length = 0;  // tokens of one sequence; 0: not told
  std::int64_t max_sequences = 4;   // what the child is told, and the gateway
  GatewayOptions gateway;
  bool pick_port = true;       // --upstream auto
  http::Address upstream;      // where the child will listen; unset while pick_port
  std::string upstream_path;   // what stands before /v1 there ("/openai"); "" or starts with a slash
  std::string upstream_model;  // empty: the first of the child's /v1/models
  std::string ready_path;      // empty: /health, and /v1/models where that does not exist
  std::chrono::milliseconds ready_deadline{600'000};
  std::vector<std::string> environment;  // NAME=VALUE, for the child
  std::vector<std::string> command;      // with placeholders; the words behind the image of a container
  ContainerOptions container;
  bool show_help = false;
};

// `arguments`: what follows "adopt". Errors: kInvalidArgument, naming the switch and what it wants; a placeholder that
// is not known or has no value; `--upstream auto` and no {port} in the command or its environment (a port nobody was
// told is a port nobody listens on); an image without tag or digest, or "latest": one that moves would change answers
// overnight.
[[nodiscard]] Result<AdoptOptions> parse_adopt_options(std::span<char* const> arguments);
[[nodiscard]] const char* adopt_usage();

// The name clients use.
[[nodiscard]] std::string served_name(const AdoptOptions& options);

// A port of 127.0.0.1 that nobody holds at this moment. Somebody may take it before the child does; then the child dies
// of it and is started again. Errors: kUnavailable.
[[nodiscard]] Result<http::Address> free_loopback_address();

// command and environment with every placeholder replaced. {total_context} is context x slots, which llama-server
// divides among its slots. Only {small_letters} are placeholders: other braces stay, so that JSON may be an argument.
// Errors: kInvalidArgument as above.
struct ChildCommand {
  std::vector<std::string> argv;
  std::vector<std::string> environment;
};
[[nodiscard]] Result<ChildCommand> expand_command(const AdoptOptions& options);

}  // namespace dormouse::worker::adopt
