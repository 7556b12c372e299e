#include "worker/convert/checkpoint.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "worker/tools/json_file.h"

namespace dormouse::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWhole = "/model.safetensors";
constexpr const char* kIndex = "/model.safetensors.index.json";

bool exists(const std::string& path) {
  std::error_code ec;
  return fs::exists(path, ec);
}

Error no_weights(const std::string& directory) {
  if (exists(directory + "/pytorch_model.bin") || exists(directory + "/pytorch_model.bin.index.json")) {
    return make_error(Code::kInvalidArgument, directory +
                                                  ": has its weights in pytorch_model.bin, which is not read: save the "
                                                  "model as safetensors");
  }
  return make_error(Code::kNotFound,
                    directory +
                        ": has neither model.safetensors nor model.safetensors.index.json; give the folder of a "
                        "Hugging Face model");
}

// tensor -> the part that holds it, both as the index says. A part's name is a plain file name: an index from
// elsewhere must not lead out of its folder.
Result<std::map<std::string, std::string>> read_index(const std::string& path) {
  TRY(const JsonFile index, JsonFile::open(path));
  TRY(const JsonFields weight_map, index.root().get_object("weight_map"));
  std::map<std::string, std::string> out;
  for (const auto& [name, part] : weight_map.object()) {
    if (!is_printable(name) || !part.is_string()) return index.root().wrong("weight_map", "names of tensors and files");
    const std::string_view file = part.get_string();
    if (!is_printable(file) || file.find('/') != std::string_view::npos || !file.ends_with(".safetensors")) {
      return weight_map.wrong(name, "the name of a .safetensors file in the same folder");
    }
    out.emplace(name, file);
  }
  return out;
}

}  // namespace

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : &at->second;
}

// parts_ must not grow afterwards.
Status Checkpoint::index_parts() {
  for (const SafetensorsFile& part : parts_) {
    for (const SafetensorsTensor& tensor : part.tensors()) {
      const auto [at, is_new] = by_name_.try_emplace(tensor.name, CheckpointTensor{&part, &tensor});
      if (!is_new) {
        return make_error(Code::kDataLoss, fmt::format("{}: tensor '{}' is in {} too", part.name(), tensor.name,
                                                       at->second.part->name()));
      }
    }
  }
  return {};
}

Result<Checkpoint> Checkpoint::open(const std::string& directory) {
  std::error_code ec;
  if (!fs::is_directory(directory, ec)) {
    return make_error(Code::kNotFound, directory + ": no such folder; give the folder of a Hugging Face model");
  }
  Checkpoint out;
  if (exists(directory + kWhole)) {
    TRY(SafetensorsFile whole, SafetensorsFile::open(directory + kWhole));
    out.parts_.push_back(std::move(whole));
    TRY_STATUS(out.index_parts());
    return out;
  }
  const std::string index_path = directory + kIndex;
  if (!exists(index_path)) return no_weights(directory);
  TRY(const auto part_of, read_index(index_path));
  std::set<std::string> parts;
  for (const auto& [name, part] : part_of) {
    if (!parts.insert(part).second) continue;
    if (parts.size() > kCheckpointPartsMax) {
      return make_error(Code::kTooLarge, fmt::format("{}: over {} parts", index_path, kCheckpointPartsMax));
    }
    TRY(SafetensorsFile file, SafetensorsFile::open(directory + "/" + part));
    out.parts_.push_back(std::move(file));
  }
  TRY_STATUS(out.index_parts());
  for (const auto& [name, part] : part_of) {
    const CheckpointTensor* const found = out.find(name);
    if (found == nullptr || found->part->name() != directory + "/" + part) {
      return make_error(Code::kDataLoss,
                        fmt::format("{}: says tensor '{}' is in {}, where it is not", index_path, name, part));
    }
  }
  return out;
}

}  // namespace dormouse::worker
