//! Lists, page by page.

use kube::Api;
use kube::api::ListParams;

use super::problem::RequestError;
use super::resource::{Selection, Watched};
use super::settings::KubeSettings;

/// A list that is read page by page. All pages together are the state at one moment.
pub(super) struct Pages<'a, K> {
    api: &'a Api<K>,
    settings: &'a KubeSettings,
    params: ListParams,
    version: Option<String>,
    done: bool,
}

impl<'a, K: Watched> Pages<'a, K> {
    pub(super) fn new(api: &'a Api<K>, selection: Selection, settings: &'a KubeSettings) -> Self {
        Self {
            api,
            settings,
            params: ListParams {
                label_selector: selection.labels,
                field_selector: selection.fields,
                limit: Some(settings.page_size),
                ..ListParams::default()
            },
            version: None,
            done: false,
        }
    }

    /// The next page, or none after the last. After an error the list must begin anew.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<K>>, RequestError> {
        if self.done {
            return Ok(None);
        }
        let asked = self.api.list(&self.params);
        let list = RequestError::within(self.settings.request_timeout, asked).await?;
        let more = list.metadata.continue_.filter(|token| !token.is_empty());
        let version = list.metadata.resource_version;
        self.version = version.filter(|version| !version.is_empty());
        self.done = more.is_none();
        self.params.continue_token = more;
        Ok(Some(list.items))
    }

    /// From where to watch, once the last page is in.
    pub(super) fn version(self) -> Result<String, RequestError> {
        self.version.ok_or(RequestError::NoVersion)
    }
}
