"""What a discriminator is good for once training is over: choosing pictures, and naming classes."""
