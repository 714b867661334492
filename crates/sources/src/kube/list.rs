//! Reads lists page by page.

use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde_json::value::RawValue;

use super::answer::{self, PAGE_LENGTH, Page};
use super::problem::RequestError;
use super::resource::{Selection, Watched};
use super::settings::KubeSettings;
use super::watch::given;

/// A list that is read page by page. All pages show the state at one moment.
pub(super) struct Pages<'a> {
    client: &'a Client,
    path: &'static str,
    settings: &'a KubeSettings,
    params: ListParams,
    fields_are_optional: bool,
    version: Option<String>,
    done: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new<K: Watched>(
        client: &'a Client,
        settings: &'a KubeSettings,
        page_size: u32,
    ) -> Self {
        Self::selected::<K>(client, settings, page_size, K::selection(settings))
    }

    /// Returns the list of the objects in `selection`.
    pub(super) fn selected<K: Watched>(
        client: &'a Client,
        settings: &'a KubeSettings,
        page_size: u32,
        selection: Selection,
    ) -> Self {
        let Selection {
            labels,
            fields,
            fields_are_optional,
        } = selection;
        Self {
            client,
            path: K::PATH,
            settings,
            params: ListParams {
                label_selector: labels,
                field_selector: fields,
                limit: Some(page_size),
                ..ListParams::default()
            },
            fields_are_optional,
            version: None,
            done: false,
        }
    }

    /// Returns the objects of the next page, or `None` after the last. After an error the list must
    /// be started again.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>, RequestError> {
        if self.done {
            return Ok(None);
        }
        let limit = self.settings.request_timeout;
        let page = match RequestError::within(limit, self.read()).await {
            Err(error) if self.fields_are_optional && error.is_bad_request() => {
                tracing::debug!(path = self.path, ?error, "listing without a field selector");
                self.fields_are_optional = false;
                self.params.field_selector = None;
                RequestError::within(limit, self.read()).await?
            }
            page => page?,
        };
        self.fields_are_optional = false;
        let more = page.metadata.more.filter(|token| !token.is_empty());
        self.version = given(page.metadata.resource_version);
        self.done = more.is_none();
        self.params.continue_token = more;
        Ok(Some(page.items.unwrap_or_default()))
    }

    async fn read(&self) -> Result<Page, RequestError> {
        let request = Request::new(self.path).list(&self.params)?;
        let body = answer::ask(self.client, request).await?;
        let text = answer::whole(body, PAGE_LENGTH).await?;
        serde_json::from_slice(&text).map_err(|error| RequestError::BadAnswer(error.to_string()))
    }

    /// Returns the field selector that the server accepts. Valid after the first page.
    pub(super) fn fields(&self) -> Option<&String> {
        self.params.field_selector.as_ref()
    }

    /// Returns the version from which to watch. Valid after the last page.
    pub(super) fn version(self) -> Result<String, RequestError> {
        self.version.ok_or(RequestError::NoVersion)
    }
}
