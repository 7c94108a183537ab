# SPDX-License-Identifier: Apache-2.0
# Run by CPack after each form of package: SHA256SUMS of what is there of this version, as `sha256sum --check` reads it.
file(GLOB packages RELATIVE ${CPACK_PACKAGE_DIRECTORY} ${CPACK_PACKAGE_DIRECTORY}/*[-_]${CPACK_PACKAGE_VERSION}[-_]*)
list(SORT packages)
set(sums "")
foreach(package IN LISTS packages)
  if(package MATCHES "\\.(deb|rpm|tar\\.gz)$")
    file(SHA256 ${CPACK_PACKAGE_DIRECTORY}/${package} sum)
    string(APPEND sums "${sum}  ${package}\n")
  endif()
endforeach()
file(WRITE ${CPACK_PACKAGE_DIRECTORY}/SHA256SUMS "${sums}")
