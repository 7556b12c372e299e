// The way of a request before its route's handler: an ordered list of middleware, each sees the call before and after.
// Threads: the loop's. Immutable once built.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "gateway/call.h"

namespace dormouse::gateway {

class Pipeline;

// The rest of the pipeline, from one place on.
class Next {
 public:
  Task<void> operator()(Call& call) const;

 private:
  friend class Pipeline;
  Next(const Pipeline* pipeline, std::size_t index) : pipeline_(pipeline), index_(index) {}
  const Pipeline* pipeline_;
  std::size_t index_;
};

class Middleware {
 public:
  virtual ~Middleware() = default;
  // Calls next once, or answers itself. `call` outlives the coroutine.
  virtual Task<void> handle(Call& call, Next next) = 0;
};

class Pipeline {
 public:
  explicit Pipeline(std::vector<std::unique_ptr<Middleware>> middleware) : middleware_(std::move(middleware)) {}
  // Ends in the route's handler, or in 404 / 405 where the call has no route.
  Task<void> run(Call& call) const;

 private:
  friend class Next;
  std::vector<std::unique_ptr<Middleware>> middleware_;
};

}  // namespace dormouse::gateway
