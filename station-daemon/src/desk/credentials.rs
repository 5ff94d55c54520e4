//! Credentials of pools: the station's shares, who has which, and the block that carries one.
//!
//! Owns reading the books from the store and keeping what the hub lent. Leaves who may have what to
//! `activation::pool`.
//!
//! Promise: a credential is opened only for the chip it is reserved for, after the record that
//! reserves it is on the disk; it is erased once the hub holds the record that it was written.

use activation::pool::{
    Bound, BoundState, Journalled, Loan, PoolDecision, PoolFacts, PoolFound, RecordId, Reservation,
    SealedCredential, Share, decide,
};
use activation::{Allotment, Chip};
use release::parcel::{ParcelBinding, ParcelSecret, open_parcel};
use release::{Name, Portion};
use zeroize::Zeroizing;

use super::Desk;
use super::blocks::OnChip;
use super::facts::allotment_name;
use crate::shelf::OpenRelease;
use crate::store::{self, Commit, ShareRow, StoreError, UnitKey};
use crate::trouble::{TroubleCode, chain};

/// A share of the product's pool as it stands.
pub(super) struct PoolShare {
    /// What the hub lent, without the credentials.
    pub(super) loan: Loan,
    /// The books of it.
    pub(super) share: Share,
}

/// What the pool says about a chip, for the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolSays {
    /// Credentials that this chip could get here.
    pub(super) left: u32,
    /// The chip holds another credential than the one it is bound to.
    pub(super) rival: bool,
}

/// A credential picked for a chip; nothing is on the disk yet.
pub(super) struct Picked {
    reservation: Reservation,
    sealed: SealedCredential,
    loan: Loan,
}

/// A pool block on its way to its chip, with the receipt of the binding.
pub(super) struct PoolWrite {
    /// The block, secrets in the clear.
    pub(super) block: Zeroizing<Vec<u8>>,
    /// What another station may adopt the binding by.
    pub(super) receipt: Vec<u8>,
}

impl Picked {
    /// As the store keeps it.
    pub(super) fn row(&self) -> Option<store::Reservation> {
        Some(store::Reservation {
            code: self.sealed.code(&self.loan.schema)?.to_owned(),
            allotment: self.reservation.allotment(),
            number: self.reservation.number(),
            mode: activation::Mode::Pool,
            block: Vec::new(),
            block_sha256: None,
        })
    }

    /// What names the credential for ever.
    pub(super) fn credential(&self) -> [u8; 32] {
        self.sealed.digest()
    }
}

/// Reads the shares of a product's pool.
fn shares(commit: &Commit<'_>, product: &str) -> Result<Vec<PoolShare>, StoreError> {
    commit.shares(product)?.iter().map(|row| share_of(commit, row)).collect()
}

/// Credentials of a portion's share that no chip has.
pub(super) fn free_credentials(
    commit: &Commit<'_>,
    portion: &Portion,
    allotment: [u8; 16],
) -> Result<u32, StoreError> {
    let shares = shares(commit, portion.product.as_str())?;
    let own = shares.iter().find(|share| share.loan.certificate.allotment() == allotment);
    Ok(own.map_or(0, |own| own.share.free().count()))
}

fn share_of(commit: &Commit<'_>, row: &ShareRow) -> Result<PoolShare, StoreError> {
    let damaged = |what: String| StoreError::Damaged { what };
    let loan: Loan = serde_json::from_slice(&row.loan)
        .map_err(|error| damaged(format!("a share of a pool: {error}")))?;
    let mut share = Share::new(row.allotment, row.count);
    let refused = |error| damaged(format!("the books of a share: {error}"));
    if let Some(only) = loan.only_for.clone() {
        share.promise(0, &only.into()).map_err(refused)?;
    }
    for binding in commit.bindings(&row.allotment)? {
        let chip = chip_of(&binding.family, &binding.uid).ok_or_else(|| {
            damaged("a credential is bound to something that is no chip".to_owned())
        })?;
        let state = match (binding.void, binding.written) {
            (true, _) => BoundState::Void,
            (false, true) => BoundState::Written,
            (false, false) => BoundState::Reserved,
        };
        // What the hub has acknowledged is erased by the store itself.
        let bound = Bound { chip, state, acknowledged: false };
        share.restore(binding.number, bound).map_err(refused)?;
    }
    Ok(PoolShare { loan, share })
}

pub(super) fn chip_of(family: &str, uid: &str) -> Option<Chip> {
    Chip::new(family, &hex::decode(uid).ok()?).ok()
}

/// The share from which a chip gets its credential: the one in which it has one or was promised
/// one, else the portion's.
fn share_for<'a>(shares: &'a [PoolShare], portion: &Portion, chip: &Chip) -> Option<&'a PoolShare> {
    let has = |share: &&PoolShare| share.share.reserve(chip).is_ok_and(|found| found.is_known());
    let name = allotment_name(portion);
    let portions = |share: &&PoolShare| Some(share.loan.certificate.allotment()) == name;
    shares
        .iter()
        .find(has)
        .or_else(|| shares.iter().filter(|share| share.loan.only_for.is_none()).find(portions))
}

impl Desk {
    /// What the pool says about a chip in which `on_chip` was found.
    pub(super) fn pool_says(
        &mut self,
        portion: &Portion,
        unit: &UnitKey,
        own: Option<&store::Reservation>,
        on_chip: Option<&OnChip>,
    ) -> Result<PoolSays, TroubleCode> {
        let asked = self.store.read(|commit| {
            let shares = shares(commit, &unit.product)?;
            let chip = chip_of(&unit.family, &unit.uid);
            let share = chip.as_ref().and_then(|chip| share_for(&shares, portion, chip));
            let Some((share, chip)) = share.zip(chip) else { return Ok((0, None)) };
            let known = share.share.reserve(&chip).ok().filter(Reservation::is_known);
            let Some(known) = known else { return Ok((share.share.free().count(), None)) };
            let sealed = commit.credential(&known.allotment(), known.number())?;
            let sealed: Option<SealedCredential> =
                sealed.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let promised =
                sealed.and_then(|sealed| sealed.code(&share.loan.schema).map(str::to_owned));
            Ok::<_, StoreError>((1, promised))
        });
        let (left, promised) = asked.map_err(|error| self.store_failed(&error))?;
        let found = on_chip.map_or(PoolFound::Blank, |own| PoolFound::Valid(&own.code));
        let decision = decide(&PoolFacts {
            found,
            own: own.map(|own| own.code.as_str()),
            receipt: None,
            promised: promised.as_deref(),
            // Asked of the unit's history, before anything else.
            voided: false,
            left,
        });
        let rival = match decision {
            PoolDecision::Conflict(conflict) => {
                tracing::error!(
                    here = conflict.here,
                    there = conflict.there,
                    "two credentials claim one chip"
                );
                true
            }
            PoolDecision::Adopt(_)
            | PoolDecision::Write(_)
            | PoolDecision::AskFor(_)
            | PoolDecision::TakeNew
            | PoolDecision::Empty
            | PoolDecision::Voided => false,
        };
        Ok(PoolSays { left, rival })
    }

    /// Picks the chip's credential: the one it has, else the next free one. `None`: the one it has
    /// is no longer here.
    ///
    /// # Errors
    /// [`TroubleCode::QuotaEmpty`] when none is left.
    pub(super) fn pick(
        &mut self,
        portion: &Portion,
        unit: &UnitKey,
    ) -> Result<Option<Picked>, TroubleCode> {
        let chip = chip_of(&unit.family, &unit.uid).ok_or(TroubleCode::IdentityWeak)?;
        let asked = self.store.read(|commit| {
            let shares = shares(commit, &unit.product)?;
            let Some(share) = share_for(&shares, portion, &chip) else { return Ok(Err(None)) };
            let reservation = match share.share.reserve(&chip) {
                Ok(reservation) => reservation,
                Err(error) => return Ok(Err(Some(error))),
            };
            let sealed = commit.credential(&reservation.allotment(), reservation.number())?;
            let Some(sealed) = sealed else { return Ok(Ok(None)) };
            let sealed = serde_json::from_slice(&sealed).map_err(|error| StoreError::Damaged {
                what: format!("a sealed credential: {error}"),
            })?;
            let loan = share.loan.clone();
            Ok::<_, StoreError>(Ok(Some(Picked { reservation, sealed, loan })))
        });
        match asked.map_err(|error| self.store_failed(&error))? {
            Ok(picked) => Ok(picked),
            Err(error) => {
                let why = error.map_or_else(|| "no share is here".to_owned(), |e| e.to_string());
                tracing::error!(why, order = portion.order, "no credential");
                Err(TroubleCode::QuotaEmpty)
            }
        }
    }

    /// Opens what was picked and journalled, for its one write.
    ///
    /// # Errors
    /// [`TroubleCode::AllotmentNotTrusted`] when the share's certificate is not good,
    /// [`TroubleCode::StoreDamaged`] when the credential does not open.
    pub(super) fn open_picked(
        &mut self,
        picked: Picked,
        record: RecordId,
        release: &OpenRelease,
    ) -> Result<PoolWrite, TroubleCode> {
        let Picked { reservation, sealed, loan } = picked;
        let journalled: Journalled = reservation.journalled(record);
        let enrolled = self.enrolled.as_ref().ok_or(TroubleCode::Internal)?;
        let key = enrolled.keys.journal();
        let name = |text: &str| Name::new(text).map_err(|_| TroubleCode::StoreDamaged);
        let (tenant, product) = (name(&enrolled.membership.tenant)?, name(&loan.product)?);
        let (allotment, index) = (loan.certificate.allotment(), journalled.number());
        let unusable = |error: &dyn std::error::Error| {
            tracing::error!(error = %chain(error), "a credential is not usable");
        };
        let take_up =
            Allotment::take_up(loan.certificate, &loan.product, &release.product_keys(), key);
        let allotment_key = take_up.map_err(|error| {
            unusable(&error);
            TroubleCode::from(&error)
        })?;
        let open = journalled.open(&sealed, &loan.schema, |parcel, credential| {
            let secret = ParcelSecret::Credential { allotment, index, credential: *credential };
            open_parcel(parcel, enrolled.keys.hpke(), &ParcelBinding { tenant, product, secret })
        });
        let block = open.map_err(|error| {
            unusable(&error);
            TroubleCode::StoreDamaged
        })?;
        let written = block.into_block(&allotment_key).and_then(|block| {
            let receipt = journalled.receipt(&sealed, &loan.schema, &allotment_key)?;
            let block = Zeroizing::new(block.as_bytes().to_vec());
            Ok(PoolWrite { block, receipt: receipt.to_vec() })
        });
        written.map_err(|error| {
            unusable(&error);
            TroubleCode::StoreDamaged
        })
    }

    /// The record at a place of the journal in use, which is on the disk.
    pub(super) fn record_at(&mut self, sequence: u64) -> Result<RecordId, TroubleCode> {
        let epoch = self.enrolled.as_ref().ok_or(TroubleCode::Internal)?.journal.epoch();
        let rows = self.store.read(|commit| commit.records(epoch, sequence, 1));
        let rows = rows.map_err(|error| self.store_failed(&error))?;
        let row = rows.first().filter(|row| row.seq == sequence).ok_or(TroubleCode::Internal)?;
        Ok(RecordId { epoch: u64::from(epoch), sequence, hash: row.leaf })
    }
}

/// Puts a share that the hub lent into the store; what is here already stays as it is.
///
/// # Errors
/// As the store says.
pub(super) fn keep_loan(commit: &Commit<'_>, mut loan: Loan) -> Result<bool, StoreError> {
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { what: format!("a loan: {error}") };
    let credentials = std::mem::take(&mut loan.credentials);
    let row = ShareRow {
        allotment: loan.certificate.allotment(),
        product: loan.product.clone(),
        loan: serde_json::to_vec(&loan).map_err(damaged)?,
        count: u32::try_from(credentials.len()).unwrap_or(u32::MAX),
    };
    if !commit.put_share(&row)? {
        return Ok(false);
    }
    for credential in &credentials {
        let sealed = serde_json::to_vec(credential).map_err(damaged)?;
        commit.put_credential(&row.allotment, credential.number(), &sealed)?;
    }
    Ok(true)
}
