// A disk in memory for SQLite that loses power: what was written and not synced survives in part, in any order, torn at
// sectors. Tests only. Threads: one. One connection to a file at a time.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace dormouse::ledger {

class PowerCutDisk {
 public:
  // What lies on the disk, by path.
  using Image = std::map<std::string, std::string>;

  // Registers itself as SQLite's default VFS; one at a time.
  PowerCutDisk();
  ~PowerCutDisk();
  PowerCutDisk(const PowerCutDisk&) = delete;
  PowerCutDisk& operator=(const PowerCutDisk&) = delete;

  // Everything on it is synced, and power stays for so many writes, syncs, truncations and deletions; < 0: for ever.
  void start(Image image, std::int64_t operations_until_cut);
  [[nodiscard]] bool is_cut() const { return left_ == 0; }
  [[nodiscard]] std::int64_t operations() const { return operations_; }
  // What a machine finds when it starts again.
  [[nodiscard]] Image after_cut(std::mt19937_64& random) const;
  // What a machine that was shut down in order finds.
  [[nodiscard]] Image synced() const;

  // Of the VFS's C functions. False: no power.
  bool spend();
  struct Change {
    bool is_truncation = false;
    std::int64_t offset = 0;  // or the new size
    std::string bytes;
  };
  struct File {
    std::string now;              // what a reader sees
    std::string on_disk;          // what is there for certain
    std::vector<Change> pending;  // since the last sync, in order
  };
  std::map<std::string, File> files;

 private:
  std::int64_t left_ = -1;
  std::int64_t operations_ = 0;
};

}  // namespace dormouse::ledger
