//! What may be flashed: images, recipe, packing, signing, sealing, refusing.
