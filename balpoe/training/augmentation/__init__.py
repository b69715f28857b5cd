"""The augmentation of training images: cuts, and the operations of policies, on the device."""
