//! The interfaces `secret` and `public-suffix`.

use wasmail_services::secret::Secrets;
use wasmail_services::{Failure, suffix};

use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::{public_suffix, secret};
use crate::state::State;

impl State {
    fn secrets(&mut self) -> wasmtime::Result<Result<&Secrets, Failure>> {
        self.count_host_call()?;
        Ok(self.capabilities.secrets.as_ref().ok_or(Failure::NotGranted))
    }
}

impl secret::Host for State {
    fn hmac_sha256(&mut self, name: String, data: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, WitFailure>> {
        let code = self.secrets()?.and_then(|secrets| secrets.hmac_sha256(&name, &data));
        Ok(code.map_err(Into::into))
    }

    fn verify_hmac_sha256(
        &mut self,
        name: String,
        data: Vec<u8>,
        code: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, WitFailure>> {
        let verified = self.secrets()?.and_then(|secrets| secrets.verify_hmac_sha256(&name, &data, &code));
        Ok(verified.map_err(Into::into))
    }

    fn sign_ed25519(&mut self, name: String, data: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, WitFailure>> {
        let signature = self.secrets()?.and_then(|secrets| secrets.sign_ed25519(&name, &data));
        Ok(signature.map_err(Into::into))
    }
}

impl public_suffix::Host for State {
    fn registrable_domain(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(suffix::registrable_domain(&name))
    }

    fn suffix(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(suffix::suffix(&name))
    }
}
