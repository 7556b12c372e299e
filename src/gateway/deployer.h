// Who makes, changes and removes deployments: ledger, fleet and phone book in step, one change at a time, never
// touching a request that runs. The admin API, the configuration file and the start all come through here. Owner: the
// house; outlives the gateway and every request. Threads: the loop's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "catalog/config_file.h"
#include "catalog/instance_types.h"
#include "gateway/admin_wire.h"
#include "gateway/deployments.h"
#include "gateway/services.h"
#include "gateway/turns.h"

namespace dormouse::gateway {

struct DeployerOptions {
  std::vector<std::string> model_directories;  // where images of new deployments are looked for
  std::vector<std::string> drivers;            // that this house has
  std::chrono::milliseconds default_idle_timeout{600'000};
  const catalog::InstanceTypes* instances = nullptr;  // and their prices; borrowed, never null
};

class Deployer {
 public:
  // `book` is borrowed, as are the services.
  Deployer(Services services, Deployments& book, const catalog::Catalog& catalog, DeployerOptions options);
  Deployer(const Deployer&) = delete;
  Deployer& operator=(const Deployer&) = delete;

  // Errors of the three: kNotFound, kAlreadyExists (the name or an alias is taken, or its last instance still drains),
  // kPermissionDenied (defined elsewhere: where), kInvalidArgument ("KEY: ..."), and those of the ledger.
  Task<Result<Deployment>> create(NewDeployment wish);
  Task<Result<Deployment>> change(std::string name, DeploymentChange change);
  // New requests do not find it any more; running ones finish. Returns when its memory is back.
  Task<Status> remove(std::string name);

  // The parts of a change, for whoever makes several at once: hold a turn from the first look to the last commit.
  [[nodiscard]] Task<Turns::Turn> turn() { return turns_.take(); }
  // Image to file, defaults, everything that can be refused before anything is done. Errors: kInvalidArgument.
  [[nodiscard]] Result<Deployment> plan(NewDeployment wish) const;
  // A deployment as an earlier start wrote it. Errors: kDataLoss and those of plan() (a driver that is here no more).
  Task<Status> restore(ledger::Deployment record);
  // Ledger, fleet, phone book, in this order. A worker that was started otherwise is replaced when it is idle.
  Task<Status> commit(Deployment deployment);
  // The other way round. Its instances drain in the background; until they are gone its name is not free.
  Task<Status> forget(std::string name);
  [[nodiscard]] bool is_leaving(const std::string& name) const { return leaving_->names.contains(name); }
  // Called whenever a name has become free; {} ends that.
  void on_left(std::function<void()> callback) { leaving_->left = std::move(callback); }

  [[nodiscard]] const Deployments& book() const { return book_; }
  [[nodiscard]] const catalog::Catalog& catalog() const { return catalog_; }
  [[nodiscard]] const std::vector<std::string>& model_directories() const { return options_.model_directories; }
  // Called with what each commit made.
  void on_commit(std::function<void(const Deployment&)> callback) { committed_ = std::move(callback); }
  void set_default_idle_timeout(std::chrono::milliseconds timeout) { options_.default_idle_timeout = timeout; }

 private:
  struct LeavingNames {
    std::set<std::string> names;
    std::function<void()> left;
  };
  using Leaving = std::shared_ptr<LeavingNames>;
  // Ends its instances. Holds what it needs: the frame may be destroyed after the deployer.
  static Task<Status> leave(Services services, Leaving leaving, std::string name);
  [[nodiscard]] Status check(const Deployment& deployment) const;
  [[nodiscard]] bool outlived_as(const Deployment& deployment) const;
  [[nodiscard]] Status check_free(const std::string& name) const;
  // Out of ledger and phone book.
  Task<Status> strike(std::string name);

  Services services_;
  Deployments& book_;
  const catalog::Catalog& catalog_;
  DeployerOptions options_;
  Turns turns_;
  std::function<void(const Deployment&)> committed_;
  Leaving leaving_ = std::make_shared<LeavingNames>();
};

}  // namespace dormouse::gateway
