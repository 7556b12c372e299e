#include "cli/key_desk.h"

#include <fmt/format.h>

#include <future>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "cli/admin_client.h"
#include "gateway/data_dir.h"
#include "ledger/ledger.h"

namespace dormouse::cli {
namespace {

using gateway::Children;
using gateway::IssuedKey;
using gateway::KeyDraft;
using gateway::KeyPage;
using gateway::KeyRing;
using gateway::KeyView;
using gateway::KeyWish;
using gateway::Rotation;

constexpr const char* kKeys = "/admin/v1/keys";

class ServerDesk final : public KeyDesk {
 public:
  explicit ServerDesk(AdminClient client) : client_(std::move(client)) {}

  Result<IssuedKey> create(const KeyWish& wish) override {
    TRY(const std::string body, client_.post(kKeys, to_json(wish)));
    return gateway::parse_issued_key(body);
  }
  Result<IssuedKey> rotate(const std::string& kid, const Rotation& rotation) override {
    TRY(const std::string body, client_.post(fmt::format("{}/{}/rotate", kKeys, kid), to_json(rotation)));
    return gateway::parse_issued_key(body);
  }
  Status change(const std::string& kid, const KeyWish& wish) override {
    TRY_STATUS(client_.patch(fmt::format("{}/{}", kKeys, kid), to_json(wish)));
    return {};
  }
  Result<std::vector<std::string>> revoke(const std::string& kid, Children children) override {
    const char* query = children == Children::kRevoke ? "?children=true" : "";
    TRY(const std::string body, client_.remove(fmt::format("{}/{}{}", kKeys, kid, query)));
    return gateway::parse_revoked(body);
  }
  Result<std::vector<KeyView>> list() override {
    std::vector<KeyView> out;
    std::string after;
    do {
      TRY(const std::string body, client_.get(fmt::format("{}?limit=1000&after={}", kKeys, after)));
      TRY(KeyPage page, gateway::parse_key_page(body));
      for (KeyView& view : page.keys) out.push_back(std::move(view));
      after = page.next_after;
    } while (!after.empty());
    return out;
  }

 private:
  AdminClient client_;
};

class DirectoryDesk final : public KeyDesk {
 public:
  static Result<std::unique_ptr<KeyDesk>> open(const std::string& path) {
    TRY(gateway::DataDir data, gateway::DataDir::open(path));
    auto desk = std::unique_ptr<DirectoryDesk>(new DirectoryDesk(std::move(data)));
    ledger::Options options;
    options.path = desk->data_.ledger_path();
    options.clock = &desk->clock_;
    options.ballast_bytes = 0;  // the server sets it aside
    TRY(desk->ledger_, ledger::Ledger::open(std::move(options)));
    TRY(desk->ring_, KeyRing::open(desk->clock_, desk->data_.pepper_path(), desk->ledger_->keys_at_start()));
    return std::unique_ptr<KeyDesk>(std::move(desk));
  }

  Result<IssuedKey> create(const KeyWish& wish) override {
    TRY(KeyDraft draft, ring_->draft_create(wish, nullptr));
    return issue(std::move(draft));
  }
  Result<IssuedKey> rotate(const std::string& kid, const Rotation& rotation) override {
    TRY(KeyDraft draft, ring_->draft_rotate(kid, rotation, nullptr));
    return issue(std::move(draft));
  }
  Status change(const std::string& kid, const KeyWish& wish) override {
    TRY(KeyDraft draft, ring_->draft_change(kid, wish, nullptr));
    return commit(std::move(draft.write));
  }
  Result<std::vector<std::string>> revoke(const std::string& kid, Children children) override {
    TRY(KeyDraft draft, ring_->draft_revoke(kid, children, nullptr));
    std::vector<std::string> kids;
    for (const ledger::ApiKey& row : draft.write.rows) kids.push_back(row.kid);
    TRY_STATUS(commit(std::move(draft.write)));
    return kids;
  }
  Result<std::vector<KeyView>> list() override { return ring_->page("", SIZE_MAX).keys; }

 private:
  explicit DirectoryDesk(gateway::DataDir data) : data_(std::move(data)) {}

  Status commit(ledger::KeyWrite write) {
    const std::vector<ledger::ApiKey> rows = write.rows;
    std::promise<Status> written;
    ledger_->put_keys(std::move(write), [&written](Status status) { written.set_value(std::move(status)); });
    TRY_STATUS(written.get_future().get());
    ring_->adopt(rows);
    return {};
  }
  Result<IssuedKey> issue(KeyDraft draft) {
    const std::string kid = draft.write.rows.front().kid;
    TRY_STATUS(commit(std::move(draft.write)));
    return IssuedKey{std::move(draft.key), ring_->view(kid).value_or(KeyView{})};
  }

  SystemClock clock_;
  gateway::DataDir data_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::optional<KeyRing> ring_;
};

}  // namespace

Result<std::unique_ptr<KeyDesk>> KeyDesk::open(const std::string& admin_socket, const std::string& data_dir) {
  AdminClient client(admin_socket);
  const Result<std::string> probe = client.get(fmt::format("{}?limit=1", kKeys));
  if (probe.has_value()) return std::unique_ptr<KeyDesk>(std::make_unique<ServerDesk>(std::move(client)));
  if (probe.error().code != Code::kUnavailable) return probe.error();
  set_log_level(LogLevel::kWarn);  // that a ledger was opened is the server's news
  return DirectoryDesk::open(data_dir);
}

}  // namespace dormouse::cli
