//! Resumable video upload: a file added arrives in storage whole
