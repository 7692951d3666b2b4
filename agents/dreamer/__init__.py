"""DreamerV3: a world model of recurrent latent states, and an actor and critic that learn inside it."""
