//! Turns the content of files into vertices and edges. Pure: a reader goes in, rows come out.
//!
//! Standard formats have a mapping of their own; what rows of CSV and JSON mean is said by a
//! [mapping file](MappingFile).

mod apply;
mod cyclonedx;
mod document;
mod longest;
mod mapping;
mod model_rows;
mod nmap;
mod node;
mod osv;
mod sarif;
mod spdx;
mod table;
mod template;

use std::io::BufRead;

pub(crate) use mapping::MappingFile;

use crate::error::Broken;
use crate::format::Format;
use crate::rows::Out;
use crate::unpack::Limits;

/// What a mapping is told of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    /// Its name relative to the directory.
    pub(crate) name: &'a str,
    /// How large it may become.
    pub(crate) limits: Limits,
}

/// What is known of the meaning of files.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    /// What the user says.
    pub(crate) own: MappingFile,
}

impl Maps {
    /// Reads a content to its end.
    ///
    /// # Errors
    ///
    /// When the content is not what it should be, with the place.
    pub(crate) fn read(
        &self,
        file: File<'_>,
        format: Format,
        content: &mut dyn BufRead,
        out: &mut Out<'_>,
    ) -> Result<(), Broken> {
        let mapping = self.own.of(file.name);
        match (format, mapping) {
            (Format::Nmap, _) => nmap::read(content, out),
            (Format::Csv, Some(mapping)) => table::csv(file, mapping, content, out),
            (Format::JsonLines, Some(mapping)) => table::json_lines(mapping, content, out),
            (_, Some(mapping)) => table::json(file, mapping, content, out),
            (Format::JsonLines, None) => model_rows::lines(content, out),
            (Format::CycloneDx, None) => cyclonedx::read(file, content, out),
            (Format::Spdx, None) => spdx::read(file, content, out),
            (Format::Osv, None) => osv::read(file, content, out),
            (Format::Sarif, None) => sarif::read(file, content, out),
            (Format::Csv | Format::Json, None) => Err(Broken::content(format!(
                "nothing says what {} files of this name mean; name it in the file of `--mapping`",
                format.as_str()
            ))),
        }
    }
}
