// Goal: a full disk refuses new requests with kUnavailable, lets running ones settle, loses nothing, and recovers by
// itself within 5 s once there is space. Method: a file size limit on this process (RLIMIT_FSIZE), and a real full file
// system (a small tmpfs) where the test may mount one.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>

#include "base/unique_fd.h"
#include "ledger/ledger_fixture.h"

namespace dormouse::ledger {
namespace {

class DiskFullTest : public LedgerFixture {
 protected:
  void SetUp() override {
    LedgerFixture::SetUp();
    ::signal(SIGXFSZ, SIG_IGN);
  }

  // Reserves until the disk refuses; the ids that were accepted.
  std::vector<std::string> reserve_until_refused() {
    std::vector<std::string> accepted;
    for (int i = 0; i < 10'000; ++i) {
      const std::string id = numbered("r", i);
      const Status status = reserve(id);
      if (!status.has_value()) {
        EXPECT_EQ(status.error().code, Code::kUnavailable) << status.error().message;
        return accepted;
      }
      accepted.push_back(id);
    }
    ADD_FAILURE() << "the disk never filled";
    return accepted;
  }

  // The ledger retries every second by itself: asking is only how we see that it has.
  bool recovers_within(std::chrono::seconds limit) {
    const SystemClock clock;
    const MonoTime begin = clock.now();
    for (int i = 0; clock.now() - begin < limit; ++i) {
      if (reserve(numbered("again", i)).has_value()) return true;
    }
    return false;
  }

  void expect_each_settled_once(const std::vector<std::string>& ids, std::int64_t output_tokens) {
    std::size_t settled = 0;
    for (const RequestRow& row : requests()) settled += row.settled && row.settlement.output_tokens == output_tokens;
    EXPECT_EQ(settled, ids.size());
  }
};

TEST_F(DiskFullTest, SettlementsTheDiskRefusedAreKeptAndLandOnce) {
  open();
  ASSERT_TRUE(put("m").has_value());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{600'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::vector<std::string> ids = reserve_until_refused();
  ASSERT_GT(ids.size(), 3U);
  EXPECT_FALSE(book_->health().writable);
  std::vector<Status> settled;
  for (const std::string& id : ids) settled.push_back(settle(id, 9));
  EXPECT_GT(book_->health().unsettled_retries, 0);
  for (const Status& status : settled) {
    if (!status.has_value()) {
      EXPECT_EQ(status.error().code, Code::kUnavailable);
    }
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(recovers_within(std::chrono::seconds(5)));
  EXPECT_TRUE(book_->health().writable);
  EXPECT_EQ(book_->health().unsettled_retries, 0);
  expect_each_settled_once(ids, 9);
}

TEST_F(DiskFullTest, TheBallastLetsRunningRequestsSettleOnAFullFileSystem) {
  if (::mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=6m,mode=0700") != 0) {
    GTEST_SKIP() << "may not mount a tmpfs here: the full file system was not tested";
  }
  Options with_ballast = options();
  with_ballast.ballast_bytes = 2 << 20;
  book_ = Ledger::open(with_ballast).value();
  ASSERT_TRUE(put("m").has_value());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(reserve(numbered("open", i)).has_value());
  {
    const UniqueFd filler(::open((directory_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (::write(filler.get(), block.data(), block.size()) > 0) {
    }
  }
  const std::vector<std::string> ids = reserve_until_refused();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(settle(numbered("open", i), 9).has_value()) << "out of the ballast's space";
  }
  for (const std::string& id : ids) EXPECT_TRUE(settle(id, 8).has_value());
  EXPECT_EQ(reserve("refused").error().code, Code::kUnavailable) << "the reserved space is not for new requests";
  ASSERT_EQ(::unlink((directory_ + "/filler").c_str()), 0);
  EXPECT_TRUE(recovers_within(std::chrono::seconds(5)));
  expect_each_settled_once(std::vector<std::string>(20), 9);
  book_.reset();
  EXPECT_EQ(::umount(directory_.c_str()), 0);
}

}  // namespace
}  // namespace dormouse::ledger
