//! Attributes with a single value.

use netlink_packet_core::DecodeError;

/// A value with a fixed format on the wire.
pub(super) trait Field: Sized {
    /// Returns the length in bytes, without the attribute's header and padding.
    fn length(&self) -> usize;
    /// Writes the value; `buffer` has [`Field::length`] bytes.
    fn write(&self, buffer: &mut [u8]);
    /// Parses the value.
    fn read(value: &[u8]) -> Result<Self, DecodeError>;
}

macro_rules! number {
    ($($kind:ty),*) => {$(
        /// A number in host order.
        impl Field for $kind {
            fn length(&self) -> usize {
                size_of::<Self>()
            }

            fn write(&self, buffer: &mut [u8]) {
                buffer.copy_from_slice(&self.to_ne_bytes());
            }

            fn read(value: &[u8]) -> Result<Self, DecodeError> {
                array(value).map(Self::from_ne_bytes)
            }
        }
    )*};
}

number!(u8, u16, u32, u64);

/// A port or mask in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkOrder<T>(pub T);

macro_rules! network_order {
    ($($kind:ty),*) => {$(
        impl Field for NetworkOrder<$kind> {
            fn length(&self) -> usize {
                size_of::<$kind>()
            }

            fn write(&self, buffer: &mut [u8]) {
                buffer.copy_from_slice(&self.0.to_be_bytes());
            }

            fn read(value: &[u8]) -> Result<Self, DecodeError> {
                array(value).map(<$kind>::from_be_bytes).map(Self)
            }
        }
    )*};
}

network_order!(u16);

impl<const N: usize> Field for [u8; N] {
    fn length(&self) -> usize {
        N
    }

    fn write(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(self);
    }

    fn read(value: &[u8]) -> Result<Self, DecodeError> {
        array(value)
    }
}

/// Text that ends with a zero byte.
impl Field for String {
    fn length(&self) -> usize {
        self.len() + 1
    }

    fn write(&self, buffer: &mut [u8]) {
        let (text, end) = buffer.split_at_mut(self.len());
        text.copy_from_slice(self.as_bytes());
        end.fill(0);
    }

    fn read(value: &[u8]) -> Result<Self, DecodeError> {
        let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8(text.to_vec())?)
    }
}

/// Values of some flags: `struct ip_vs_flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedFlags {
    /// The values.
    pub flags: u32,
    /// The bits to change; the kernel keeps the others.
    pub mask: u32,
}

impl Field for MaskedFlags {
    fn length(&self) -> usize {
        8
    }

    fn write(&self, buffer: &mut [u8]) {
        let (flags, mask) = buffer.split_at_mut(4);
        self.flags.write(flags);
        self.mask.write(mask);
    }

    fn read(value: &[u8]) -> Result<Self, DecodeError> {
        let (flags, mask) = value
            .split_at_checked(4)
            .ok_or_else(|| DecodeError::invalid_number(8, value.len()))?;
        Ok(Self {
            flags: u32::read(flags)?,
            mask: u32::read(mask)?,
        })
    }
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeError> {
    value
        .try_into()
        .map_err(|_| DecodeError::invalid_number(N, value.len()))
}
