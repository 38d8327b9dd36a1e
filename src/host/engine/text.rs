//! The text of a small file in an image or a container, by the engine's archive calls. Nothing is executed, and nothing written.

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;
use tracing::Instrument as _;

use super::{Container, Engine, EngineError, request::EngineRequest};
use crate::{
    api::{Fact, ModuleType, Presence},
    host::revision::MOST_READ,
};

/// What is at the path of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileText {
    /// A file with this content.
    Text(Vec<u8>),
    /// Nothing.
    Missing,
    /// Something else; what, as the end of a sentence.
    NoText(&'static str),
    /// It could not be read; why.
    Unknown(String),
}

/// A file in a container, not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path, after all links.
    end: String,
    size: usize,
    modified: String,
}

impl FoundFile {
    /// What changes with its content.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("{} {} {}", self.end, self.size, self.modified)
    }
}

impl Engine {
    /// A small file of an image. The container for it is removed even if the returned future is dropped half-way.
    pub async fn text_in_image(&self, image: &str, path: &str) -> FileText {
        let (engine, image, path) = (self.clone(), image.to_owned(), path.to_owned());
        let task = async move {
            let id = match engine.create_lookup(&image).await {
                Ok(id) => id,
                Err(error) => return FileText::Unknown(error.to_string()),
            };
            let text = match engine.found_at(&id, &path).await {
                Ok(file) => engine.text_of(&id, &file).await,
                Err(other) => other,
            };
            engine.remove_lookup(&id).await;
            text
        };
        let task = self.lookups.spawn(task.in_current_span());
        task.await.unwrap_or_else(|_| FileText::Unknown("the look into the image was broken off".into()))
    }

    /// A small file in a container, as its process sees it.
    ///
    /// # Errors
    /// What is there instead.
    pub async fn file_in_container(&self, container: &Container, path: &str) -> Result<FoundFile, FileText> {
        // Its mounts first: the engine shows what lies under some of them.
        if let Fact::Unknown(why) = self.module_in_container(container, path, ModuleType::File).await.presence
        {
            return Err(FileText::Unknown(why));
        }
        self.found_at(&container.seen.id, path).await
    }

    /// The content of a file in a container.
    pub async fn text_of(&self, container: &str, file: &FoundFile) -> FileText {
        match self.file(container, &file.end, file.size).await {
            Ok(Some(content)) => FileText::Text(content),
            Ok(None) => FileText::Unknown("it changed while it was read".into()),
            Err(error) => FileText::Unknown(error.to_string()),
        }
    }

    async fn found_at(&self, container: &str, path: &str) -> Result<FoundFile, FileText> {
        let look = self.look(container, path, ModuleType::File).await;
        match look.presence {
            Fact::Known(Presence::Present) => {}
            Fact::Known(Presence::Missing) => return Err(FileText::Missing),
            Fact::Known(Presence::WrongType) => return Err(FileText::NoText("is no file")),
            Fact::Unknown(why) => return Err(FileText::Unknown(why)),
        }
        let (size, modified) = match self.size_and_time(container, &look.end).await {
            Ok(found) => found,
            Err(error) => return Err(FileText::Unknown(error.to_string())),
        };
        let size = usize::try_from(size).ok().filter(|size| *size <= MOST_READ);
        let size = size.ok_or(FileText::NoText("is longer than 64 KiB"))?;
        Ok(FoundFile { end: look.end, size, modified })
    }

    async fn size_and_time(&self, container: &str, path: &str) -> Result<(i64, String), EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let request = EngineRequest::head(format_args!("containers/{container}/archive"));
        let stat = self
            .ask(&request, async |docker| docker.get_container_archive_info(container, Some(options)).await)
            .await?;
        Ok((stat.size, request.required("mtime", stat.modification_time)?))
    }
}
