// Reads a packed weights file once, whole, beside the worker's work, and compares every checksum. Once a file: a marker
// beside it says that it was right. A damaged file is deleted, so that the next start packs again, and its worker must
// end. Owner: the engine thread. Threads: one of its own, which runs only when nobody else wants the CPU (SCHED_IDLE).
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "base/result.h"
#include "pack/packed_file.h"

namespace dormouse::worker {

class PackCheck {
 public:
  // Borrows the file. on_damage: called on the check's own thread, at most once.
  PackCheck(const pack::PackedFile& file, std::function<void(const Error&)> on_damage);
  // Stops within one matrix (0.1 s of reading).
  ~PackCheck();
  PackCheck(const PackCheck&) = delete;
  PackCheck& operator=(const PackCheck&) = delete;

 private:
  void run();

  const pack::PackedFile& file_;
  std::function<void(const Error&)> on_damage_;
  std::atomic<bool> cancelled_{false};
  std::thread thread_;
};

}  // namespace dormouse::worker
