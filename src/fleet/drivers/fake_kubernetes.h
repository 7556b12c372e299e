// A Kubernetes API server and the cluster behind it, in the tests' own loop: TLS, tokens, resource versions,
// server-side apply with its conflicts, strict fields, lists in pages that expire, deletes with grace and uid, garbage
// collection of what a removed object owned, throttling; a scheduler and a kubelet that take one step each time
// somebody looks. Of the objects it knows what a driver sends. Tests only. Threads: the loop's.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/drivers/kubernetes_provider.h"
#include "http/server.h"

namespace dormouse::fleet {

class FakeKubernetes {
 public:
  // Files of a service account (ca.crt, token, namespace) are written into `directory`.
  FakeKubernetes(asio::io_context& io, std::string directory);
  ~FakeKubernetes();
  FakeKubernetes(const FakeKubernetes&) = delete;
  FakeKubernetes& operator=(const FakeKubernetes&) = delete;

  // One call that goes wrong: the next one of this kind ("patch pods").
  struct Fault {
    enum class Kind {
      kAnswer,     // `status` instead of doing anything
      kLoseReply,  // done, and the connection broken
      kNonsense,   // 200 and HTML
    };
    std::string call;
    Kind kind = Kind::kAnswer;
    int status = 0;
    std::string reason = {};
    std::string retry_after = {};  // empty: none
  };
  enum class Node {
    kRuns,        // after `slow_looks` looks, and once its Secret is there
    kNone,        // Unschedulable
    kCannotPull,  // ErrImagePull, then ImagePullBackOff
    kLost,        // ends nothing that it was told to end
  };

  void set_token(const std::string& token, bool tell_file);  // the one that is accepted from now on
  void end_pod(const std::string& name, const std::string& phase, int exit_code, const std::string& reason);
  void remove_pod(const std::string& name);                           // at once, and what it owned
  void put_pod(const std::string& name, boost::json::object labels);  // somebody else's, running
  void set_label(const std::string& name, const std::string& key, const std::string& value);  // as a person would
  void forget_versions() { oldest_version_ = version_; }   // a watch from before is told 410
  [[nodiscard]] int count(const std::string& call) const;  // "delete pods"
  [[nodiscard]] std::string server() const { return "https://" + address_; }
  [[nodiscard]] Task<void> drain() { return server_->drain(std::chrono::milliseconds(100)); }

  std::vector<Fault> faults;
  std::function<void()> on_unauthorized;  // called before the 401 is sent
  Node node = Node::kRuns;
  int slow_looks = 0;
  bool offers_watch = false;
  int break_watch_after = 0;                        // events; 0: never
  bool expire_pages = false;                        // every continue token is too old
  std::map<std::string, boost::json::object> pods;  // by name
  std::map<std::string, boost::json::object> secrets;
  std::map<std::string, boost::json::object> owners;  // statefulsets
  std::vector<std::string> calls;                     // "patch pods NAME"
  std::set<std::string>
      verbs;  // "patch pods": what a Role has to allow; an apply that makes something needs create too

 private:
  struct Answer {
    int status = 200;
    boost::json::object body;
  };
  struct Target {
    std::string resource;  // pods
    std::string name;      // empty: all
  };
  struct Event {
    std::uint64_t version = 0;
    std::string type;
    boost::json::object pod;
  };
  Task<void> handle(http::Exchange& exchange);
  Task<void> watch(http::Exchange& exchange);
  void tell(const std::string& type, const boost::json::object& pod);
  [[nodiscard]] bool parse(const http::Request& request, Target& out, std::string& verb) const;
  Answer act(const http::Request& request, const Target& target, const std::string& verb);
  Answer apply(const http::Request& request, const Target& target);
  Answer list(const http::Request& request);
  Answer remove(const http::Request& request, const Target& target);
  std::map<std::string, boost::json::object>* store(const std::string& resource);
  [[nodiscard]] static Answer failure(int status, std::string_view reason, std::string_view message,
                                      const Target& target);
  void touch(boost::json::object& object);
  void collect(const std::string& uid);  // what it owned
  void step(const std::string& name);    // scheduler and kubelet; may remove the Pod
  void run_or_wait(const std::string& name, boost::json::object& pod);

  asio::io_context& io_;
  const std::string directory_;
  std::unique_ptr<http::Server> server_;
  std::string address_;
  std::string token_;
  std::map<std::string, int> looks_;                                // at a Pod, by name
  std::map<std::string, std::map<std::string, std::string>> held_;  // labels that a person has set, by Pod
  std::vector<std::string> made_;                                   // as JSON, as they were applied
  std::vector<Event> events_;
  std::set<asio::steady_timer*> watchers_;
  std::uint64_t oldest_version_ = 0;
  std::uint64_t version_ = 100;
  int uids_ = 0;
};

}  // namespace dormouse::fleet
