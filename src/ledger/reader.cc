#include "ledger/reader.h"

#include <utility>

namespace dormouse::ledger {
namespace {

constexpr std::size_t kMaxQuestions = 64;

}  // namespace

Reader::Reader(std::string path) : path_(std::move(path)), thread_([this] { run(); }) {}

Reader::~Reader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Reader::ask(Question question) {
  Error refusal = make_error(Code::kCancelled, "ledger: closing");
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && queue_.size() < kMaxQuestions) {
      queue_.push_back(std::move(question));
      wake_.notify_one();
      return;
    }
    if (!stopping_) refusal = make_error(Code::kOverloaded, "ledger: too many reports at once");
  }
  question(refusal);
}

void Reader::run() {
  while (true) {
    std::vector<Question> questions;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      stopping = stopping_;
      questions.swap(queue_);
    }
    for (const Question& question : questions) {
      if (stopping) {
        question(make_error(Code::kCancelled, "ledger: closing"));
      } else {
        answer(question);
      }
    }
    if (stopping) return;
  }
}

void Reader::answer(const Question& question) {
  if (!connection_.has_value()) {
    Result<Connection> opened = Connection::open(path_, Access::kReadOnly);
    if (!opened.has_value()) return question(opened.error());
    connection_.emplace(std::move(*opened));
  }
  question(&*connection_);
}

}  // namespace dormouse::ledger
