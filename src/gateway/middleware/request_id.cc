#include "base/ids.h"
#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

constexpr std::size_t kMaxClientIdBytes = 128;

class RequestId final : public Middleware {
 public:
  explicit RequestId(const Clock& clock) : clock_(clock) {}

  Task<void> handle(Call& call, Next next) override {
    call.accepted = clock_.now();
    call.accepted_wall = clock_.wall();
    call.request_id = make_uuid_v7(call.accepted_wall);
    if (const auto sent = call.request().headers.find("x-request-id")) {
      for (const char c : sent->substr(0, kMaxClientIdBytes)) {
        if (c > ' ' && c < 0x7f) call.client_request_id += c;
      }
    }
    co_await next(call);
  }

 private:
  const Clock& clock_;
};

}  // namespace

std::unique_ptr<Middleware> make_request_id(const Clock& clock) { return std::make_unique<RequestId>(clock); }

}  // namespace dormouse::gateway
