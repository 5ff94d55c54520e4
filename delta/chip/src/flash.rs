//! Flash of the emulated device: plain memory that is erased and written as flash is.

use delta::apply::FlashFault;
use delta::inplace::{Area, Nor};

/// Everything an update in place uses, in the order of [`Area`].
pub(crate) struct Chip {
    pub(crate) image: &'static mut [u8],
    pub(crate) ring: &'static mut [u8],
    pub(crate) slots: &'static mut [u8],
    pub(crate) patch: &'static [u8],
    pub(crate) page_bytes: usize,
}

impl Chip {
    fn part(&mut self, area: Area, at: usize, count: usize) -> Result<&mut [u8], FlashFault> {
        let whole = match area {
            Area::Image => &mut *self.image,
            Area::Ring => self.ring,
            Area::Slots => self.slots,
            Area::Patch => return Err(FlashFault),
        };
        whole.get_mut(at..).and_then(|rest| rest.get_mut(..count)).ok_or(FlashFault)
    }
}

impl Nor for Chip {
    fn read(&mut self, area: Area, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let from = match area {
            Area::Patch => self.patch.get(at as usize..).ok_or(FlashFault)?,
            area => self.part(area, at as usize, into.len())?,
        };
        crate::copy(from, into)
    }

    fn erase(&mut self, area: Area, page: u32) -> Result<(), FlashFault> {
        let bytes = self.page_bytes;
        self.part(area, page as usize * bytes, bytes)?.fill(0xFF);
        Ok(())
    }

    fn program(&mut self, area: Area, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let to = self.part(area, at as usize, bytes.len())?;
        for (to, byte) in to.iter_mut().zip(bytes) {
            *to &= *byte;
        }
        Ok(())
    }
}
