//! Request bodies on their way upstream: collected ones that can be sent again, and uploads that stream past once.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// A client's body that is not collected. Attempts share it; the first one that reads from it has it for good.
#[derive(Clone, Debug)]
pub struct Upload {
    body: Arc<Mutex<Option<Incoming>>>,
    touched: Arc<AtomicBool>,
    too_large: Arc<AtomicBool>,
    limit: u64,
    size: SizeHint,
}

impl Upload {
    /// An upload of at most `limit` bytes.
    #[must_use]
    pub fn new(body: Incoming, limit: u64) -> Self {
        let size = body.size_hint();
        Self {
            body: Arc::new(Mutex::new(Some(body))),
            touched: Arc::default(),
            too_large: Arc::default(),
            limit,
            size,
        }
    }

    /// Whether an attempt has read from it, so that no other attempt can be made.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Acquire)
    }

    /// Whether it turned out larger than it may be.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Acquire)
    }
}

/// The body of a request to an upstream.
#[derive(Debug)]
pub enum UpstreamBody {
    /// Collected.
    Full(Option<Bytes>),
    /// Streaming.
    Upload {
        /// Where it comes from.
        upload: Upload,
        /// How much has passed.
        sent: u64,
    },
}

/// The client's part of an upload failed: it left, or sent more than it may.
#[derive(Debug, thiserror::Error)]
#[error("the client's upload broke off or was too large")]
pub struct UploadError;

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upload { upload, sent } => {
                upload.touched.store(true, Ordering::Release);
                let mut body = upload.body.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(incoming) = body.as_mut() else {
                    return Poll::Ready(None);
                };
                let frame = std::task::ready!(Pin::new(incoming).poll_frame(context));
                let Some(frame) = frame else {
                    *body = None;
                    return Poll::Ready(None);
                };
                let Ok(frame) = frame else {
                    return Poll::Ready(Some(Err(UploadError)));
                };
                *sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                if *sent > upload.limit {
                    upload.too_large.store(true, Ordering::Release);
                    return Poll::Ready(Some(Err(UploadError)));
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Upload { upload, .. } => upload.size.exact() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upload { upload, .. } => upload.size,
        }
    }
}
