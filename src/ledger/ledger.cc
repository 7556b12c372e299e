#include "ledger/ledger.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "ledger/reader.h"
#include "ledger/reports/select.h"
#include "ledger/store.h"
#include "ledger/writer.h"

namespace dormouse::ledger {
namespace {

// A second process with the ledger open would be a second connection that writes (invariant 1).
Result<UniqueFd> lock_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.is_open()) return errno_error(path, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) return make_error(Code::kAlreadyExists, "ledger: another process has " + path);
  return errno_error(path, errno);
}

}  // namespace

struct Ledger::Impl {
  Impl(UniqueFd lock_fd, Store store, const Options& options_in)
      : lock(std::move(lock_fd)),
        options(options_in),
        recovery(store.recovery()),
        writer(std::move(store), options_in),
        reader(options_in.path) {}

  template <typename T, typename Select>
  void ask(Answer<T> answer, Select select) {
    reader.ask([this, answer = std::move(answer), select = std::move(select)](Result<Connection*> connection) {
      Result<T> result = connection.has_value() ? select(**connection) : Result<T>(connection.error());
      if (!options.post) return answer(std::move(result));
      // Shared, as a std::function must be copyable and a workload should not be.
      auto kept = std::make_shared<Result<T>>(std::move(result));
      options.post([answer, kept] { answer(std::move(*kept)); });
    });
  }

  // Writer outlives reader, so the question may point to it.
  void check_while_serving() {
    reader.ask([this](Result<Connection*> connection) {
      if (!connection.has_value()) return;  // closing
      const Status status = check_integrity(**connection);
      if (status.has_value() || status.error().code != Code::kDataLoss) return;
      log_error("event=ledger_damaged error=\"{}\"", status.error().message);
      writer.mark_damaged();
    });
  }

  UniqueFd lock;
  const Options options;
  Recovery recovery;
  std::vector<Deployment> deployments;
  std::vector<ApiKey> keys;
  Writer writer;
  Reader reader;  // ends first: its connection is gone when the writer checkpoints for the last time
};

Ledger::Ledger(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(Options options) {
  CHECK(options.clock != nullptr);
  TRY(UniqueFd lock, lock_file(options.path + ".lock"));
  TRY(Store store, Store::open(options.path, options.clock->wall(), options.check_at_open_bytes));
  TRY(std::vector<Deployment> deployments, store.deployments());
  TRY(std::vector<ApiKey> keys, store.keys());
  const bool checked = store.is_checked();
  auto impl = std::make_unique<Impl>(std::move(lock), std::move(store), options);
  impl->deployments = std::move(deployments);
  impl->keys = std::move(keys);
  if (!checked) impl->check_while_serving();
  const Recovery& r = impl->recovery;
  log_info("event=ledger_open path={} migrations={} interrupted_requests={} closed_spans={} survivors={}", options.path,
           r.migrations_applied, r.interrupted_requests, r.closed_spans, r.survivors.size());
  return std::unique_ptr<Ledger>(new Ledger(std::move(impl)));
}

const Recovery& Ledger::recovery() const {
  return impl_->recovery;
}
const std::vector<Deployment>& Ledger::deployments_at_start() const {
  return impl_->deployments;
}
const std::vector<ApiKey>& Ledger::keys_at_start() const {
  return impl_->keys;
}
Health Ledger::health() const {
  return impl_->writer.health();
}

void Ledger::put_deployment(Deployment deployment, Done done) {
  impl_->writer.enqueue(std::move(deployment), std::move(done));
}
void Ledger::remove_deployment(std::string name, Done done) {
  impl_->writer.enqueue(RemoveDeployment{std::move(name)}, std::move(done));
}
void Ledger::put_keys(KeyWrite write, Done done) {
  impl_->writer.enqueue(std::move(write), std::move(done));
}
void Ledger::record_key_use(std::vector<KeyUse> uses, Done done) {
  impl_->writer.enqueue(std::move(uses), std::move(done));
}
void Ledger::record_intent(StartIntent intent, Done done) {
  impl_->writer.enqueue(std::move(intent), std::move(done));
}
void Ledger::record_span(SpanEvent event, Done done) {
  impl_->writer.enqueue(std::move(event), std::move(done));
}
void Ledger::record_progress(std::vector<SpanProgress> progress, Done done) {
  impl_->writer.enqueue(std::move(progress), std::move(done));
}
void Ledger::reserve(Reservation reservation, Done done) {
  impl_->writer.enqueue(std::move(reservation), std::move(done));
}
void Ledger::checkpoint(Checkpoint checkpoint, Done done) {
  impl_->writer.enqueue(std::move(checkpoint), std::move(done));
}
void Ledger::settle(Settlement settlement, Done done) {
  impl_->writer.enqueue(std::move(settlement), std::move(done));
}
void Ledger::close(Closing closing, Done done) {
  impl_->writer.enqueue(std::move(closing), std::move(done));
}
void Ledger::put_price(Price price, Answer<std::int64_t> answer) {
  auto version = std::make_shared<std::int64_t>(0);
  impl_->writer.enqueue(PutPrice{std::move(price), version}, [version, answer = std::move(answer)](Status status) {
    answer(status.has_value() ? Result<std::int64_t>(*version) : Result<std::int64_t>(std::move(status).error()));
  });
}
void Ledger::book_fee(Fee fee, Done done) {
  impl_->writer.enqueue(std::move(fee), std::move(done));
}
void Ledger::put_advice(AdviceRecord advice, Done done) {
  impl_->writer.enqueue(std::move(advice), std::move(done));
}
void Ledger::record_refusals(std::vector<RefusalCount> refusals, Done done) {
  impl_->writer.enqueue(std::move(refusals), std::move(done));
}

void Ledger::spend_since(std::int64_t begin_us, Answer<std::vector<Spend>> answer) {
  impl_->ask(std::move(answer), [begin_us](Connection& c) { return select_spend(c, begin_us); });
}
void Ledger::compact(std::int64_t before_us, TimeZone zone, CompactCursor cursor, Answer<CompactCursor> answer) {
  auto at = std::make_shared<CompactCursor>(cursor);
  impl_->writer.enqueue(Compact{before_us, std::move(zone), at}, [at, answer = std::move(answer)](Status status) {
    answer(status.has_value() ? Result<CompactCursor>(*at) : Result<CompactCursor>(std::move(status).error()));
  });
}

void Ledger::list_deployments(Answer<std::vector<Deployment>> answer) {
  impl_->ask(std::move(answer), [](Connection& c) { return select_deployments(c); });
}
void Ledger::usage(UsageQuery query, Answer<UsageReport> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_usage(c, query); });
}
void Ledger::errors(ErrorQuery query, Answer<std::vector<ErrorRow>> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_errors(c, query); });
}
void Ledger::refusals(ErrorQuery query, Answer<std::vector<ErrorRow>> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_refusals(c, query); });
}
void Ledger::bill(BillQuery query, Answer<Bill> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_bill(c, query); });
}
void Ledger::focus(BillQuery query, Answer<std::vector<FocusCharge>> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_focus(c, query); });
}
void Ledger::costs(CostQuery query, Answer<std::vector<CostRow>> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_costs(c, query); });
}
void Ledger::strip(StripQuery query, Answer<Strip> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_strip(c, query); });
}
void Ledger::spans(std::string deployment, std::int64_t max_rows, Answer<std::vector<Span>> answer) {
  impl_->ask(std::move(answer), [deployment = std::move(deployment), max_rows](Connection& c) {
    return select_spans(c, deployment, max_rows);
  });
}
void Ledger::request_page(RequestQuery query, Answer<RequestPage> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_requests(c, query); });
}
void Ledger::workload(WorkloadQuery query, Answer<MeasuredWorkload> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_workload(c, query); });
}
void Ledger::advice(AdviceQuery query, Answer<std::vector<AdviceRecord>> answer) {
  impl_->ask(std::move(answer), [query = std::move(query)](Connection& c) { return select_advice(c, query); });
}

}  // namespace dormouse::ledger
