# SPDX-License-Identifier: Apache-2.0
# CPack: three packages in each form, from the components of CMakeLists.txt.
find_program(CULPRIT_RPMBUILD rpmbuild)
set(CPACK_GENERATOR DEB TGZ)
if(CULPRIT_RPMBUILD)
  list(APPEND CPACK_GENERATOR RPM)
endif()
set(CPACK_PACKAGE_NAME culprit)
set(CPACK_PACKAGE_VENDOR Culprit)
set(CPACK_PACKAGE_CONTACT "The Culprit authors <culprit@localhost>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL agent collector cli)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY OFF)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/checksums.cmake)

set(summary_agent "records which process on this host talks to whom, as evidence")
set(text_agent "Which process connects to which address, how much it sends and on whose
behalf is recorded in the kernel, chained by hashes and sent to a collector
within a second, so that the answer outlives the host.")
set(summary_collector "keeps and judges what Culprit's agents see")
set(text_collector "Takes evidence from agents over mutual TLS, keeps it in an append-only
journal of sealed segments, looks for what is wrong in it, and answers
operators.")
set(summary_cli "asks Culprit's collector which process talked to whom")
set(text_cli "The operator's command: findings, connections, logins, processes, and which
process an abuse report is about.")
set(package_agent culprit-agent)
set(package_collector culprit-collector)
set(package_cli culprit)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# Smaller by a third, and slow.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
endif()
set(CPACK_DEBIAN_COLLECTOR_PACKAGE_RECOMMENDS culprit)
# The user of the collector is made by systemd-sysusers.
set(CPACK_DEBIAN_COLLECTOR_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)")
set(CPACK_RPM_PACKAGE_GROUP "System Environment/Daemons")
set(CPACK_RPM_COMPRESSION_TYPE gzip)
set(CPACK_RPM_PACKAGE_RELOCATABLE OFF)
set(CPACK_RPM_COLLECTOR_PACKAGE_REQUIRES systemd)
set(CPACK_RPM_AGENT_PACKAGE_REQUIRES systemd)
# What the distribution owns.
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/sbin /usr/lib/systemd /usr/lib/systemd/system /usr/lib/sysusers.d /usr/share/man /usr/share/man/man1
    /usr/share/man/man8 /usr/share/bash-completion /usr/share/bash-completion/completions /usr/share/zsh /usr/share/zsh/vendor-completions
    /usr/share/fish /usr/share/fish/vendor_completions.d /usr/share/lintian /usr/share/lintian/overrides)
# No links from /usr/lib/.build-id: they would be the same in two versions of one package. And nothing done to files by rpmbuild: a program has one hash,
# whichever package it came in. Only Debian's libcurl has versions of its symbols; the loader takes one without.
set(CPACK_RPM_SPEC_MORE_DEFINE "%define _build_id_links none
%define __os_install_post %{nil}
%global __requires_exclude CURL_OPENSSL_4")

foreach(component agent collector cli)
  string(TOUPPER ${component} upper)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${summary_${component}}\n${text_${component}}")
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package_${component}})
  set(CPACK_RPM_${upper}_PACKAGE_NAME ${package_${component}})
  set(CPACK_RPM_${upper}_PACKAGE_SUMMARY "${summary_${component}}")
  set(CPACK_RPM_${upper}_PACKAGE_DESCRIPTION "${text_${component}}")
endforeach()
foreach(component agent collector)
  string(TOUPPER ${component} upper)
  set(scripts ${CMAKE_CURRENT_SOURCE_DIR}/debian/${component})
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${scripts}/postinst ${scripts}/prerm ${scripts}/postrm)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_STRICT_PERMISSION ON)
  set(scripts ${CMAKE_CURRENT_SOURCE_DIR}/rpm/${component})
  set(CPACK_RPM_${upper}_POST_INSTALL_SCRIPT_FILE ${scripts}/post)
  set(CPACK_RPM_${upper}_PRE_UNINSTALL_SCRIPT_FILE ${scripts}/preun)
  set(CPACK_RPM_${upper}_POST_UNINSTALL_SCRIPT_FILE ${scripts}/postun)
endforeach()
include(CPack)
