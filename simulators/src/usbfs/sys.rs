//! The part of the C library umockdev that is used here, and the little of GObject it needs.
//!
//! Owns the declarations and the lifetime of what they hand out. umockdev is LGPL-2.1 and linked
//! as a shared library, by this feature only.

#![allow(unsafe_code, reason = "a C library is called; every call says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_ulong, c_void};
use std::ptr;

/// What goes wrong in umockdev itself.
#[derive(Debug, thiserror::Error)]
#[error("umockdev: {attempted}: {reason}")]
pub struct TestbedError {
    /// What was asked of it.
    pub attempted: &'static str,
    /// Its own words.
    pub reason: String,
}

#[repr(C)]
struct GObject {
    class: *mut c_void,
    references: u32,
    data: *mut c_void,
}

#[repr(C)]
struct GError {
    domain: u32,
    code: c_int,
    message: *mut c_char,
}

#[repr(C)]
struct IoctlData {
    parent: GObject,
    data: *mut u8,
    data_len: c_int,
    client_addr: c_ulong,
}

enum Testbed {}
enum IoctlBase {}
enum IoctlClient {}

type Signal = unsafe extern "C" fn(*mut IoctlBase, *mut IoctlClient, *mut c_void) -> c_int;

#[link(name = "umockdev")]
unsafe extern "C" {
    fn umockdev_testbed_new() -> *mut Testbed;
    fn umockdev_testbed_add_from_string(
        bed: *mut Testbed,
        text: *const c_char,
        error: *mut *mut GError,
    ) -> c_int;
    fn umockdev_testbed_uevent(bed: *mut Testbed, path: *const c_char, action: *const c_char);
    fn umockdev_testbed_remove_device(bed: *mut Testbed, path: *const c_char);
    fn umockdev_testbed_attach_ioctl(
        bed: *mut Testbed,
        node: *const c_char,
        handler: *mut IoctlBase,
        error: *mut *mut GError,
    ) -> c_int;
    fn umockdev_testbed_detach_ioctl(
        bed: *mut Testbed,
        node: *const c_char,
        error: *mut *mut GError,
    ) -> c_int;
    fn umockdev_ioctl_base_new() -> *mut IoctlBase;
    fn umockdev_ioctl_client_get_request(client: *mut IoctlClient) -> c_ulong;
    fn umockdev_ioctl_client_get_arg(client: *mut IoctlClient) -> *mut IoctlData;
    fn umockdev_ioctl_client_complete(client: *mut IoctlClient, result: c_long, errno: c_int);
    fn umockdev_ioctl_data_resolve(
        data: *mut IoctlData,
        offset: usize,
        bytes: usize,
        error: *mut *mut GError,
    ) -> *mut IoctlData;
    fn umockdev_ioctl_data_set_ptr(
        data: *mut IoctlData,
        offset: usize,
        child: *mut IoctlData,
    ) -> c_int;
}

#[link(name = "gobject-2.0")]
unsafe extern "C" {
    fn g_object_ref(object: *mut c_void) -> *mut c_void;
    fn g_object_unref(object: *mut c_void);
    fn g_signal_connect_data(
        object: *mut c_void,
        signal: *const c_char,
        handler: *const c_void,
        data: *mut c_void,
        destroy: *const c_void,
        flags: c_int,
    ) -> c_ulong;
}

#[link(name = "glib-2.0")]
unsafe extern "C" {
    fn g_error_free(error: *mut GError);
}

/// Takes umockdev's error, if it left one.
fn reason(error: *mut GError) -> String {
    if error.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: umockdev sets the pointer to a GError that it hands over, with a text that ends in 0.
    unsafe {
        let text = CStr::from_ptr((*error).message).to_string_lossy().into_owned();
        g_error_free(error);
        text
    }
}

fn text(words: &str) -> CString {
    // What this room says holds no 0; if it did, the part before it is said.
    CString::new(words.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// A folder that programs take for `/sys` and `/dev`.
pub(super) struct Bed(*mut Testbed);

// SAFETY: umockdev's testbed does its own locking through its worker's main context; this room
// calls it from one thread at a time, behind a mutex.
unsafe impl Send for Bed {}

impl Bed {
    pub(super) fn new() -> Self {
        // SAFETY: gives a new object, or ends the process if the folder cannot be made.
        Self(unsafe { umockdev_testbed_new() })
    }

    /// Adds devices from their description and announces them.
    pub(super) fn add(&self, description: &str) -> Result<(), TestbedError> {
        let description = text(description);
        let mut error = ptr::null_mut();
        // SAFETY: the testbed lives as long as `self`, the text as long as the call.
        let done =
            unsafe { umockdev_testbed_add_from_string(self.0, description.as_ptr(), &mut error) };
        if done != 0 {
            return Ok(());
        }
        Err(TestbedError { attempted: "adding a device", reason: reason(error) })
    }

    /// Announces that a device goes and takes it out.
    pub(super) fn remove(&self, path: &str) {
        let (path, action) = (text(path), text("remove"));
        // SAFETY: the testbed lives as long as `self`, the texts as long as the calls.
        unsafe {
            umockdev_testbed_uevent(self.0, path.as_ptr(), action.as_ptr());
            umockdev_testbed_remove_device(self.0, path.as_ptr());
        }
    }

    /// Has every system call on a device node answered by `answers`.
    pub(super) fn answer(
        &self,
        node: &str,
        answers: Box<dyn Answers>,
    ) -> Result<Attached, TestbedError> {
        let attached = Attached::new(answers);
        let path = text(node);
        let mut error = ptr::null_mut();
        // SAFETY: testbed and handler are alive; the testbed takes its own reference.
        let done = unsafe {
            umockdev_testbed_attach_ioctl(self.0, path.as_ptr(), attached.base, &mut error)
        };
        if done != 0 {
            return Ok(attached);
        }
        Err(TestbedError { attempted: "attaching to a device", reason: reason(error) })
    }

    /// No longer answers on a device node.
    pub(super) fn leave(&self, node: &str) -> Result<(), TestbedError> {
        let path = text(node);
        let mut error = ptr::null_mut();
        // SAFETY: the testbed lives as long as `self`, the text as long as the call.
        if unsafe { umockdev_testbed_detach_ioctl(self.0, path.as_ptr(), &mut error) } != 0 {
            return Ok(());
        }
        Err(TestbedError { attempted: "detaching from a device", reason: reason(error) })
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that `new` got.
        unsafe { g_object_unref(self.0.cast()) }
    }
}

/// Who answers system calls on a device node. Called on umockdev's own thread, one at a time.
pub(super) trait Answers: Send {
    /// One system call; what it returns is the result, or the number of the error.
    fn ioctl(&mut self, client: Client, request: u64, argument: Argument) -> Result<(), c_int>;

    /// This program has closed the device.
    fn vanished(&mut self, client: Client);
}

/// One program that has the device open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client(usize);

/// A handler as umockdev holds it.
pub(super) struct Attached {
    base: *mut IoctlBase,
    answers: *mut Box<dyn Answers>,
}

// SAFETY: only dropped from another thread than umockdev's, and then after the node was left.
unsafe impl Send for Attached {}

unsafe extern "C" fn on_ioctl(
    _base: *mut IoctlBase,
    client: *mut IoctlClient,
    answers: *mut c_void,
) -> c_int {
    // SAFETY: `answers` is the box that `Attached` keeps alive as long as the signal is connected,
    // and umockdev calls on one thread. `client` lives for the call and is asked before it is
    // completed, which happens once.
    unsafe {
        let answers = &mut *answers.cast::<Box<dyn Answers>>();
        let request = umockdev_ioctl_client_get_request(client);
        let argument = Argument::shared(umockdev_ioctl_client_get_arg(client));
        let (result, errno) = match answers.ioctl(Client(client as usize), request, argument) {
            Ok(()) => (0, 0),
            Err(errno) => (-1, errno),
        };
        umockdev_ioctl_client_complete(client, result, errno);
    }
    1
}

unsafe extern "C" fn on_vanished(
    _base: *mut IoctlBase,
    client: *mut IoctlClient,
    answers: *mut c_void,
) -> c_int {
    // SAFETY: as in `on_ioctl`.
    unsafe { (*answers.cast::<Box<dyn Answers>>()).vanished(Client(client as usize)) }
    0
}

impl Attached {
    fn new(answers: Box<dyn Answers>) -> Self {
        let answers = Box::into_raw(Box::new(answers));
        // SAFETY: a new object; the signals exist on it (umockdev 0.16 and newer), have this shape,
        // and the box outlives them: both end in `drop`.
        let base = unsafe {
            let base = umockdev_ioctl_base_new();
            for (signal, handler) in
                [("handle-ioctl", on_ioctl as Signal), ("client-vanished", on_vanished as Signal)]
            {
                g_signal_connect_data(
                    base.cast(),
                    text(signal).as_ptr(),
                    handler as *const c_void,
                    answers.cast(),
                    ptr::null(),
                    0,
                );
            }
            base
        };
        Self { base, answers }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: the reference that `new` got, and the box that nobody is given any more.
        unsafe {
            g_object_unref(self.base.cast());
            drop(Box::from_raw(self.answers));
        }
    }
}

/// Memory of the calling program, as a copy that is written back when its system call ends.
pub(super) struct Argument(*mut IoctlData);

// SAFETY: only ever used on umockdev's thread; it is stored in what `Answers` owns.
unsafe impl Send for Argument {}

impl Argument {
    /// SAFETY: `data` is a living object.
    unsafe fn shared(data: *mut IoctlData) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self(g_object_ref(data.cast()).cast()) }
    }

    /// The copy.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: umockdev keeps `data_len` bytes at `data` as long as the object lives, and does
        // not touch them outside of calls.
        unsafe {
            let length = usize::try_from((*self.0).data_len).unwrap_or(0);
            if (*self.0).data.is_null() || length == 0 {
                return &mut [];
            }
            std::slice::from_raw_parts_mut((*self.0).data, length)
        }
    }

    /// The address this memory has in the calling program.
    pub(super) fn address(&self) -> u64 {
        // SAFETY: the object lives.
        unsafe { (*self.0).client_addr }
    }

    /// The word at `offset` as it is, without following it.
    pub(super) fn word(&mut self, offset: usize) -> u64 {
        let bytes = self.bytes().get(offset..offset + 8);
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    }

    /// Fetches `bytes` bytes from where the pointer at `offset` points to.
    pub(super) fn follow(&mut self, offset: usize, bytes: usize) -> Option<Self> {
        let mut error = ptr::null_mut();
        // SAFETY: the object lives; what comes back is a reference of ours or nothing.
        let data = unsafe { umockdev_ioctl_data_resolve(self.0, offset, bytes, &mut error) };
        if !error.is_null() {
            drop(reason(error));
        }
        (!data.is_null()).then_some(Self(data))
    }

    /// Lets the pointer at `offset` point to `child` in the calling program.
    pub(super) fn point(&mut self, offset: usize, child: &Self) {
        // SAFETY: both objects live; the parent takes its own reference.
        unsafe { umockdev_ioctl_data_set_ptr(self.0, offset, child.0) };
    }
}

impl Drop for Argument {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference this holds.
        unsafe { g_object_unref(self.0.cast()) }
    }
}
