//! Announcements of artifacts on the wire.

use apache_avro::types::Value;

use crate::fields::Fields;
use crate::verdict::Rejection;
use crate::wire::Out;

/// An artifact is ready to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactAnnounced {
    pub artifact_id: String,
    /// The directory that holds it.
    pub path: String,
    /// SHA-256 of its manifest, lower-case hex.
    pub manifest_sha256: String,
    pub created_at_ms: i64,
}

pub(crate) fn write(artifact: &ArtifactAnnounced, out: &mut Out) {
    out.text(&artifact.artifact_id)
        .text(&artifact.path)
        .text(&artifact.manifest_sha256)
        .long(artifact.created_at_ms);
}

pub(crate) fn read(value: Value) -> Result<ArtifactAnnounced, Rejection> {
    let mut fields = Fields::of(value, "")?;
    Ok(ArtifactAnnounced {
        artifact_id: fields.text("artifact_id")?,
        path: fields.text("path")?,
        manifest_sha256: fields.text("manifest_sha256")?,
        created_at_ms: fields.moment_ms("created_at")?,
    })
}
