#include "cli/price_list.h"

namespace dormouse::cli {

Result<PriceList> read_price_list(const Context& context, const std::string& config) {
  PriceList out;
  TRY(out.types, catalog::InstanceTypes::built_in());
  const std::string path = config.empty() ? context.data_dir + "/dormouse.toml" : config;
  const Result<catalog::ConfigFile> file = catalog::read_config(path);
  if (!file.has_value()) {
    const bool may_be_absent = config.empty() && file.error().code == Code::kNotFound;
    if (!may_be_absent) return file.error();
    return out;
  }
  for (const catalog::InstanceType& type : file->instances) out.types.put(type);
  out.rules = file->prices;
  return out;
}

}  // namespace dormouse::cli
