// Servers that are not ours: how each is started and asked, as data. What `dormouse-worker adopt` is told for one.
// Immutable after parse. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::catalog {

struct Runtime {
  std::string name;  // "llama-server"
  std::vector<std::string> aliases;
  std::string title;
  std::vector<std::string> command;       // with adopt's placeholders
  std::vector<std::string> quantization;  // added to the command where one is asked for; {quantization} is its name
  std::vector<std::string> environment;   // "NAME=VALUE", with adopt's placeholders
  std::string ready_path;                 // empty: adopt's own rule
  std::string upstream_path;              // what stands before /v1 there
  std::string upstream_model;             // what it calls the model; empty: its first. {model} is the deployment's
  std::string image;                      // pinned; empty: no container
  std::vector<std::string> container;     // the words behind the image, with adopt's placeholders
  std::vector<std::string> container_options;  // words for `run`, in front of the image
};

// What a deployment says of how it runs.
struct RuntimeParameters {
  std::string model;                     // a file, a repository's name
  std::int64_t context_length = 0;       // tokens of one sequence; 0: not told
  std::int64_t max_sequences = 0;        // 0: adopt's default
  std::string quantization;              // empty: what the weights are
  std::string container_engine;          // "podman", "docker"; empty: the program of this machine
  std::vector<std::string> arguments;    // behind the template's
  std::vector<std::string> environment;  // "NAME=VALUE", beside the template's
};

class Runtimes {
 public:
  // Errors: kInvalidArgument, naming the entry (bad TOML, no name or command, a name that means two, a placeholder
  // nobody fills in, no {port} anywhere, a container without image).
  static Result<Runtimes> parse(std::string_view toml);
  // The ones compiled into this binary.
  static Result<Runtimes> built_in();

  [[nodiscard]] const std::vector<Runtime>& all() const { return runtimes_; }
  // By name or alias, without case. Errors: kNotFound, listing the known ones.
  [[nodiscard]] Result<Runtime> find(std::string_view name) const;

 private:
  std::vector<Runtime> runtimes_;
};

// What follows "dormouse-worker adopt" for a deployment. The command comes last, behind "--": a driver puts its own
// switches (--listen, --control, --lease, --epoch, --served-model-name) in front.
// Errors: kInvalidArgument (the template needs a model or a context length that is not given; a quantisation, container
// or engine this runtime has not).
[[nodiscard]] Result<std::vector<std::string>> adopt_arguments(const Runtime& runtime,
                                                               const RuntimeParameters& parameters);

}  // namespace dormouse::catalog
