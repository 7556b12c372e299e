# Writes the migrations as a C++ source: the binary carries its schema. Run at configure time; editing or adding a file
# configures again.
function(dormouse_embed_migrations output)
  file(GLOB files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/migrations/*.sql")
  list(SORT files)
  set(rows "")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    get_filename_component(stem "${file}" NAME_WE)
    string(REGEX MATCH "^[0-9]+" number "${stem}")
    string(REGEX REPLACE "^0+" "" version "${number}")
    file(READ "${file}" sql)
    string(APPEND rows "    {${version}, \"${stem}\", R\"__sql__(${sql})__sql__\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT "${output}" @ONLY CONTENT
"// Made from ledger/migrations/*.sql by embed_migrations.cmake.
#include \"ledger/migrations.h\"

namespace dormouse::ledger {
namespace {

constexpr Migration kMigrations[] = {
@rows@};

}  // namespace

std::span<const Migration> all_migrations() { return kMigrations; }

}  // namespace dormouse::ledger
")
endfunction()
