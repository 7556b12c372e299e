// A conversation in the terminal against a server's admin socket: history, streaming, Ctrl-C stops the answer and not
// the program. One thread: it blocks on the terminal, or runs its loop while an answer comes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/generation.h"
#include "cli/context.h"
#include "http/asio.h"
#include "http/client.h"

namespace dormouse::cli {

struct ChatResult {
  std::string text;  // what came, also when stopped
  std::int64_t tokens = 0;
  double seconds = 0;        // first to last token
  double first_token_s = 0;  // sent to first token
  bool stopped = false;      // by Ctrl-C
};

class TerminalChat {
 public:
  TerminalChat(const Context& context, std::string socket, std::string model);
  ~TerminalChat();
  TerminalChat(const TerminalChat&) = delete;
  TerminalChat& operator=(const TerminalChat&) = delete;

  // One question, its answer printed as it comes. Errors: what the server said; the question leaves the history then.
  Status ask(const std::string& prompt);
  // Until /bye, Ctrl-D or the end of a piped stdin.
  Status converse();

 private:
  struct Line {
    enum class Kind { kText, kInterrupted, kEnd };
    Kind kind = Kind::kEnd;
    std::string text;
  };
  Line read_line();
  Task<void> stream(std::string body);
  Task<void> watch_interrupts();
  void print_delta(const api::Delta& delta);
  void print_summary() const;

  const Context& context_;
  const std::string socket_;
  const std::string model_;
  asio::io_context io_{1};
  http::Client client_;
  struct Signals;  // boost/asio/signal_set.hpp stays in the .cc
  std::unique_ptr<Signals> signals_;
  std::function<void()> on_interrupt_;
  std::vector<api::Message> history_;
  std::string pending_;  // read from stdin, not yet a line
  ChatResult result_;
  std::optional<Error> failure_;
  bool done_ = false;
  bool thinking_ = false;  // the last piece printed was reasoning
};

}  // namespace dormouse::cli
