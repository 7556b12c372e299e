# What `cmake --install` puts where, and the Debian package made of the same files (`cpack`, in the build folder).
# The programs find each other and the demo model beside themselves, so that any prefix will do.
include(GNUInstallDirs)

if(NOT DORMOUSE_SANITIZE)
  install(TARGETS dormouse dormouse-worker DESTINATION "${CMAKE_INSTALL_BINDIR}")
  install(FILES "${CMAKE_SOURCE_DIR}/models/qwen3-demo-q8_0.gguf" DESTINATION share/dormouse/models)
  # To read and to copy from: the programs have them compiled in.
  install(FILES "${CMAKE_SOURCE_DIR}/catalog/images.toml" "${CMAKE_SOURCE_DIR}/catalog/instances.toml"
                "${CMAKE_SOURCE_DIR}/catalog/runtimes.toml" DESTINATION share/dormouse/catalog)
  set(self "${CMAKE_BINARY_DIR}/self")
  install(FILES "${self}/dormouse.1.gz" DESTINATION share/man/man1)
  install(FILES "${self}/dormouse.zh_CN.1.gz" DESTINATION share/man/zh_CN/man1 RENAME dormouse.1.gz)
  install(FILES "${self}/dormouse.bash" DESTINATION share/bash-completion/completions RENAME dormouse)
  install(FILES "${self}/dormouse.zsh" DESTINATION share/zsh/vendor-completions RENAME _dormouse)
  install(FILES "${self}/dormouse.fish" DESTINATION share/fish/vendor_completions.d)
  install(FILES "${CMAKE_SOURCE_DIR}/deploy/systemd/dormouse.service" DESTINATION lib/systemd/system)
  install(FILES "${CMAKE_SOURCE_DIR}/LICENSE" DESTINATION share/doc/dormouse RENAME copyright)
endif()

# Only the two programs are wanted, not every test.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME dormouse)
set(CPACK_PACKAGE_CONTACT "The Dormouse authors <maintainers@dormouse.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "serves Qwen3 models, asleep when nobody asks")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "A gateway for OpenAI's, Ollama's and its own dialect that wakes a worker for a\nrequest, lets it sleep when idle, and says to the cent what each way of renting\nthe machine would cost. With a small demo model.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)  # the model and the programs are most of it: xz takes 8 times as long for 10 %
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_SOURCE_DIR}/deploy/debian/postinst"
                                       "${CMAKE_SOURCE_DIR}/deploy/debian/prerm")
include(CPack)
