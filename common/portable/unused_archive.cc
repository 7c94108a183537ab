// SPDX-License-Identifier: Apache-2.0
// In the archive of libarchive what refuses an unusual type of file stands beside the table of all
// formats that can be written; it would bring them all along, with libxml2, nettle and compressors.
// This stands in: we write pax and ask for no other. Only bundle_writer meets it, with plain files.
#include <archive.h>
#include <archive_entry.h>

#include <cerrno>

extern "C" {
void __archive_write_entry_filetype_unsupported(archive* a, archive_entry* entry, const char* format);

void __archive_write_entry_filetype_unsupported(archive* a, archive_entry* entry,
                                                const char* format) {
  archive_set_error(a, EILSEQ, "%s: %s has no place for file type %o",
                    archive_entry_pathname(entry), format,
                    static_cast<unsigned>(archive_entry_filetype(entry)));
}
}
